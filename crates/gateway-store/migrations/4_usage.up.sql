-- What calls took, by the hour in which they ended. Times are microseconds since the epoch, money is in billionths of a US dollar.
CREATE TABLE usage_hourly (
    hour              BIGINT NOT NULL,
    key_name          TEXT NOT NULL,
    model             TEXT NOT NULL,
    provider          TEXT NOT NULL,
    requests          BIGINT NOT NULL,
    errors            BIGINT NOT NULL,
    estimated         BIGINT NOT NULL,
    prompt_tokens     BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cached_tokens     BIGINT NOT NULL,
    cost_nano_usd     BIGINT NOT NULL,
    PRIMARY KEY (hour, key_name, model, provider)
) WITHOUT ROWID;
-- The last batch that each process has added, so that one whose outcome it was not told is not added twice.
CREATE TABLE usage_writers (
    writer  TEXT NOT NULL PRIMARY KEY,
    batch   BIGINT NOT NULL,
    at      BIGINT NOT NULL
);
