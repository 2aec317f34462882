"""What is known of KIE, as data."""
