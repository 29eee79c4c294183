"""The page of a sweep: what it asked, what came out, and how it is made again."""
