-- Providers and models: parts of the configuration. `settings` and `secrets` are JSON objects; `secrets` may be sealed.
CREATE TABLE providers (
    name       TEXT   NOT NULL PRIMARY KEY CHECK (name <> ''),
    settings   TEXT   NOT NULL,
    secrets    TEXT,
    revision   BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL DEFAULT (strftime('%s', 'now') * 1000000),
    updated_at BIGINT NOT NULL DEFAULT (strftime('%s', 'now') * 1000000)
);

CREATE TABLE models (
    name       TEXT   NOT NULL PRIMARY KEY CHECK (name <> ''),
    settings   TEXT   NOT NULL,
    secrets    TEXT,
    revision   BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL DEFAULT (strftime('%s', 'now') * 1000000),
    updated_at BIGINT NOT NULL DEFAULT (strftime('%s', 'now') * 1000000)
);

-- A store has an identifier of its own, and each change a token, which tells it from the change that gets the same version
-- after the store was put back to an earlier state. A column whose default is not constant cannot be added, so the tables
-- are made anew.
CREATE TABLE config_version_before AS SELECT version FROM config_version;
DROP TABLE config_version;
CREATE TABLE config_version (
    only_row INTEGER NOT NULL PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    version  BIGINT  NOT NULL,
    store_id TEXT    NOT NULL DEFAULT (lower(hex(randomblob(16))))
);
INSERT INTO config_version (version) SELECT version FROM config_version_before;
DROP TABLE config_version_before;

CREATE TABLE changes_before AS SELECT version, kind, id FROM changes;
DROP TABLE changes;
CREATE TABLE changes (
    version INTEGER NOT NULL PRIMARY KEY,
    kind    TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    token   TEXT    NOT NULL DEFAULT (lower(hex(randomblob(16))))
);
INSERT INTO changes (version, kind, id) SELECT version, kind, id FROM changes_before;
DROP TABLE changes_before;

CREATE TRIGGER changes_noted AFTER INSERT ON changes BEGIN
    UPDATE config_version SET version = NEW.version;
    DELETE FROM changes WHERE version <= NEW.version - 10000;
END;

-- As those of keys: rows that are written by hand count too.
CREATE TRIGGER providers_inserted AFTER INSERT ON providers BEGIN
    INSERT INTO changes (version, kind, id) SELECT version + 1, 'provider', NEW.name FROM config_version;
END;

CREATE TRIGGER providers_updated AFTER UPDATE OF name, settings, secrets, created_at, updated_at ON providers BEGIN
    UPDATE providers SET revision = OLD.revision + 1 WHERE name = NEW.name;
    INSERT INTO changes (version, kind, id)
        SELECT version + 1, 'provider', OLD.name FROM config_version WHERE OLD.name <> NEW.name;
    INSERT INTO changes (version, kind, id) SELECT version + 1, 'provider', NEW.name FROM config_version;
END;

CREATE TRIGGER providers_deleted AFTER DELETE ON providers BEGIN
    INSERT INTO changes (version, kind, id) SELECT version + 1, 'provider', OLD.name FROM config_version;
END;

CREATE TRIGGER models_inserted AFTER INSERT ON models BEGIN
    INSERT INTO changes (version, kind, id) SELECT version + 1, 'model', NEW.name FROM config_version;
END;

CREATE TRIGGER models_updated AFTER UPDATE OF name, settings, secrets, created_at, updated_at ON models BEGIN
    UPDATE models SET revision = OLD.revision + 1 WHERE name = NEW.name;
    INSERT INTO changes (version, kind, id)
        SELECT version + 1, 'model', OLD.name FROM config_version WHERE OLD.name <> NEW.name;
    INSERT INTO changes (version, kind, id) SELECT version + 1, 'model', NEW.name FROM config_version;
END;

CREATE TRIGGER models_deleted AFTER DELETE ON models BEGIN
    INSERT INTO changes (version, kind, id) SELECT version + 1, 'model', OLD.name FROM config_version;
END;
