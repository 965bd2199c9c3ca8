"""Who may do what: owner, worker, producer, reader."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Refuse: a database is not taken back."""
    raise NotImplementedError
