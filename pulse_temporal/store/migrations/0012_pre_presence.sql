-- Since when a worker could write to Postgres without a break. Whoever finds an attempt open after
-- its deadline learns by it whether its worker let the deadline pass, or could not record.
ALTER TABLE pulse_workers ADD COLUMN present_since timestamptz NOT NULL DEFAULT now();
