"""How KIE speaks: the only place that knows its URLs and envelopes."""
