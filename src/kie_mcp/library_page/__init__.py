"""The library page: a page of one's own with everything that was made. It reads the ledger, and spends nothing."""
