"""Crawl files in: documents, rejects, chunks, scorings; and the feeder that publishes them."""
