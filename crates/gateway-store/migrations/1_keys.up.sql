-- Virtual keys. Times are microseconds since the epoch; lists and objects are JSON.
CREATE TABLE master_keys (
    id                   TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    name                 TEXT    NOT NULL,
    digest               BLOB    NOT NULL,
    preview              TEXT    NOT NULL DEFAULT '',
    is_weak              BOOLEAN NOT NULL DEFAULT FALSE,
    previous_digest      BLOB,
    previous_valid_until BIGINT,
    allowed_models       TEXT    NOT NULL DEFAULT '[]',
    rate_limit           TEXT,
    budget               TEXT,
    expires_at           BIGINT,
    is_enabled           BOOLEAN NOT NULL DEFAULT TRUE,
    metadata             TEXT    NOT NULL DEFAULT '{}',
    created_at           BIGINT  NOT NULL DEFAULT (strftime('%s', 'now') * 1000000),
    updated_at           BIGINT  NOT NULL DEFAULT (strftime('%s', 'now') * 1000000),
    last_used_at         BIGINT,
    revision             BIGINT  NOT NULL DEFAULT 1
);

-- Every digest that is in use, current or previous, so that no two keys share one.
CREATE TABLE key_digests (
    digest BLOB NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX key_digests_by_key ON key_digests (key_id);

-- Counts changes over all nodes; one row.
CREATE TABLE config_version (
    only_row INTEGER NOT NULL PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    version  BIGINT  NOT NULL
);
INSERT INTO config_version (version) VALUES (0);

-- What changed at which version; the last ten thousand of them.
CREATE TABLE changes (
    version INTEGER NOT NULL PRIMARY KEY,
    kind    TEXT    NOT NULL,
    id      TEXT    NOT NULL
);

-- Who did what.
CREATE TABLE audit_log (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    at           BIGINT NOT NULL,
    actor        TEXT   NOT NULL,
    action       TEXT   NOT NULL,
    object       TEXT   NOT NULL,
    state_before TEXT,
    state_after  TEXT
);

CREATE TRIGGER changes_noted AFTER INSERT ON changes BEGIN
    UPDATE config_version SET version = NEW.version;
    DELETE FROM changes WHERE version <= NEW.version - 10000;
END;

-- Triggers rather than the program keep digests, versions and revisions, so that rows which are written by hand count too.
CREATE TRIGGER master_keys_inserted AFTER INSERT ON master_keys BEGIN
    DELETE FROM key_digests WHERE key_id = NEW.id;
    INSERT INTO key_digests (digest, key_id) VALUES (NEW.digest, NEW.id);
    INSERT INTO key_digests (digest, key_id)
        SELECT NEW.previous_digest, NEW.id WHERE NEW.previous_digest IS NOT NULL;
    INSERT INTO changes (version, kind, id) SELECT version + 1, 'master_key', NEW.id FROM config_version;
END;

-- Every column but last_used_at and revision.
CREATE TRIGGER master_keys_updated AFTER UPDATE OF
    id, name, digest, preview, is_weak, previous_digest, previous_valid_until, allowed_models, rate_limit, budget, expires_at,
    is_enabled, metadata, created_at, updated_at
ON master_keys BEGIN
    UPDATE master_keys SET revision = OLD.revision + 1 WHERE id = NEW.id;
    DELETE FROM key_digests WHERE key_id IN (OLD.id, NEW.id);
    INSERT INTO key_digests (digest, key_id) VALUES (NEW.digest, NEW.id);
    INSERT INTO key_digests (digest, key_id)
        SELECT NEW.previous_digest, NEW.id WHERE NEW.previous_digest IS NOT NULL;
    INSERT INTO changes (version, kind, id)
        SELECT version + 1, 'master_key', OLD.id FROM config_version WHERE OLD.id <> NEW.id;
    INSERT INTO changes (version, kind, id) SELECT version + 1, 'master_key', NEW.id FROM config_version;
END;

CREATE TRIGGER master_keys_deleted AFTER DELETE ON master_keys BEGIN
    DELETE FROM key_digests WHERE key_id = OLD.id;
    INSERT INTO changes (version, kind, id) SELECT version + 1, 'master_key', OLD.id FROM config_version;
END;
