"""The library page: a web page that shows the user's results. It reads the ledger, and spends no credits."""
