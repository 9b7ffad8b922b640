-- Virtual keys. Times are microseconds since the epoch; lists and objects are JSON.
CREATE TABLE master_keys (
    id                   TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (id <> ''),
    name                 TEXT    NOT NULL,
    digest               BYTEA   NOT NULL,
    preview              TEXT    NOT NULL DEFAULT '',
    is_weak              BOOLEAN NOT NULL DEFAULT FALSE,
    previous_digest      BYTEA,
    previous_valid_until BIGINT,
    allowed_models       TEXT    NOT NULL DEFAULT '[]',
    rate_limit           TEXT,
    budget               TEXT,
    expires_at           BIGINT,
    is_enabled           BOOLEAN NOT NULL DEFAULT TRUE,
    metadata             TEXT    NOT NULL DEFAULT '{}',
    created_at           BIGINT  NOT NULL DEFAULT (EXTRACT(EPOCH FROM now()) * 1000000)::BIGINT,
    updated_at           BIGINT  NOT NULL DEFAULT (EXTRACT(EPOCH FROM now()) * 1000000)::BIGINT,
    last_used_at         BIGINT,
    revision             BIGINT  NOT NULL DEFAULT 1
);

-- Every digest that is in use, current or previous, so that no two keys share one.
CREATE TABLE key_digests (
    digest BYTEA NOT NULL PRIMARY KEY,
    key_id TEXT COLLATE "C" NOT NULL
);
CREATE INDEX key_digests_by_key ON key_digests (key_id);

-- Counts transactions that changed something; one row. Whoever changes something locks it until the end of the transaction,
-- so versions become visible in their order.
CREATE TABLE config_version (
    only_row INTEGER NOT NULL PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    version  BIGINT  NOT NULL
);
INSERT INTO config_version (version) VALUES (0);

-- What changed at which version; the last ten thousand versions.
CREATE TABLE changes (
    version BIGINT NOT NULL,
    kind    TEXT   NOT NULL,
    id      TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (version, kind, id)
);

-- Who did what.
CREATE TABLE audit_log (
    number       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           BIGINT NOT NULL,
    actor        TEXT   NOT NULL,
    action       TEXT   NOT NULL,
    object       TEXT   NOT NULL,
    state_before TEXT,
    state_after  TEXT
);

-- Gives the transaction its version, once, by leaps for what cannot be told row by row; notes what changed; wakes all nodes.
-- The setting lives as long as the transaction, and goes back with it to a savepoint.
CREATE FUNCTION note_change(leap BIGINT, changed_kind TEXT, changed_id TEXT) RETURNS VOID
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    current_version BIGINT := NULLIF(current_setting('gateway.version', TRUE), '')::BIGINT;
BEGIN
    IF current_version IS NULL OR leap > 1 THEN
        UPDATE config_version SET version = version + leap RETURNING version INTO current_version;
        PERFORM set_config('gateway.version', current_version::TEXT, TRUE);
        DELETE FROM changes WHERE version <= current_version - 10000;
        PERFORM pg_notify('gateway_config', '');
    END IF;
    INSERT INTO changes (version, kind, id) VALUES (current_version, changed_kind, changed_id) ON CONFLICT DO NOTHING;
END
$$;

-- Triggers rather than the program keep digests, versions and revisions, so that rows which are written by hand count too.
CREATE FUNCTION master_keys_changed() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM key_digests WHERE key_id = OLD.id;
    END IF;
    IF TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND OLD.id <> NEW.id THEN
        PERFORM note_change(1, 'master_key', OLD.id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO key_digests (digest, key_id) VALUES (NEW.digest, NEW.id);
        INSERT INTO key_digests (digest, key_id)
            SELECT NEW.previous_digest, NEW.id WHERE NEW.previous_digest IS NOT NULL;
        PERFORM note_change(1, 'master_key', NEW.id);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION master_keys_count_revision() RETURNS TRIGGER
LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := OLD.revision + 1;
    RETURN NEW;
END
$$;

-- More rows than the log of changes holds: whoever follows reads everything anew.
CREATE FUNCTION master_keys_truncated() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    TRUNCATE key_digests;
    PERFORM note_change(10001, 'master_key', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER master_keys_inserted_or_deleted AFTER INSERT OR DELETE ON master_keys
    FOR EACH ROW EXECUTE FUNCTION master_keys_changed();

-- Every column but last_used_at and revision.
CREATE TRIGGER master_keys_updated AFTER UPDATE OF
    id, name, digest, preview, is_weak, previous_digest, previous_valid_until, allowed_models, rate_limit, budget, expires_at,
    is_enabled, metadata, created_at, updated_at
ON master_keys FOR EACH ROW EXECUTE FUNCTION master_keys_changed();

CREATE TRIGGER master_keys_revised BEFORE UPDATE OF
    id, name, digest, preview, is_weak, previous_digest, previous_valid_until, allowed_models, rate_limit, budget, expires_at,
    is_enabled, metadata, created_at, updated_at
ON master_keys FOR EACH ROW EXECUTE FUNCTION master_keys_count_revision();

CREATE TRIGGER master_keys_truncated AFTER TRUNCATE ON master_keys
    FOR EACH STATEMENT EXECUTE FUNCTION master_keys_truncated();
