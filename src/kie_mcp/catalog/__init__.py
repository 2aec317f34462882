"""What KIE offers: every model a class, every tool a family of them."""
