-- Deliveries are listed by where they stand, page by page in the order of their making.
DROP INDEX delivery_by_status;
CREATE INDEX delivery_by_status ON delivery (tenant, status, id);
