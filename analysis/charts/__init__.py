"""Every chart, once: a specification in Vega-Lite for the page, for files, and for notebooks."""
