-- Closed sets are held by the database too: a value that this release does not know is refused
-- where it is written, and not found by whoever reads the row.
--
-- What holds for these and for later checks:
-- * One table a migration, so that none waits for the lock of one table while it holds that of
--   another: that would deadlock with transactions that use both. NOT VALID reads no row, so the
--   lock is held for a moment; the rows that are there are checked by a later migration, under a
--   lock that lets reads and writes pass.
-- * A release that writes a new value replaces the check in a migration that comes before its code
--   (_pre_): the new set has all values of the old one, so that older processes go on beside it.
-- * Tables that the TypeScript Pulse may still write are checked in the rows of this engine alone.
--   Log lines have no mark of who wrote them, and no check.
ALTER TABLE pulse_outbox ADD CONSTRAINT pulse_outbox_kind_known
    CHECK (kind IN ('start', 'cancel', 'schedule')) NOT VALID;
