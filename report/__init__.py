"""The page of results: numbers with their sources, words chosen by them, pictures."""
