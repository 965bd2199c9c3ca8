"""A labelled corpus in, a published version out."""
