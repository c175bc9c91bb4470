"""Whether what several clients saw of one entity can be told as one story, each step at once."""
