"""Words: names, sentences and lines of text for what the tables hold."""
