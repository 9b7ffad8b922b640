-- What was spent, in billionths of a US dollar, by the window of the budget that it counts against.
CREATE TABLE budget_spent (
    account      TEXT   NOT NULL,
    period       TEXT   NOT NULL CHECK (period IN ('day', 'month', 'total')),
    window_start BIGINT NOT NULL,
    amount       BIGINT NOT NULL,
    PRIMARY KEY (account, period, window_start)
);
-- For reading the windows that still count, and for forgetting old ones.
CREATE INDEX budget_spent_by_window ON budget_spent (period, window_start);
