"""The catalogue of KIE's models: one class per model, one family of models per tool."""
