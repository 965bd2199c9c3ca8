"""Readers of crawl files: each gives its columns, and its rows in blocks."""
