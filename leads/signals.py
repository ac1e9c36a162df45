"""What `leads` tells of its writes, inside their transaction. Who listens is not known here."""

from django.dispatch import Signal

# Locked rows are about to change. sender: the concrete model; unit: the UnitOfWork;
# rows: {primary key: {attname: value}} as the database has them under the lock, with what the model adds to it
# (`locked_extras`) where that is sure.
rows_changing = Signal()

# Rows were inserted. sender: the concrete model; unit: the UnitOfWork; pks: their primary keys.
rows_created = Signal()

# Rows were written. sender: the concrete model; unit: the UnitOfWork; rows: {primary key: what the row is now, or
# None where only the database knows}.
rows_written = Signal()

# The tags of locked leads are about to change. sender: Lead; unit: the UnitOfWork; pks: the leads.
tags_changing = Signal()
