"""What a worker measured of a chunk, and what it computed it by."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Refuse: a database is not taken back."""
    raise NotImplementedError
