-- Attempts leave something at a target, which is taken away when nobody goes on with the delivery.
CREATE INDEX delivery_by_leftover ON delivery (target, id)
    WHERE status IN ('dead', 'cancelled') AND length(progress) > 0;
