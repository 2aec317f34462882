"""The tools: one module for each that is no model's, or for a small group; the dispatcher and the generated list."""
