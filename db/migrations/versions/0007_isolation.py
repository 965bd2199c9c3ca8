"""A chunk that ends its worker is worked a document at a time."""

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Refuse: a database is not taken back."""
    raise NotImplementedError
