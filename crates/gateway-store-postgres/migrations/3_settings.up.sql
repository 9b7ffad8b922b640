-- Providers and models: parts of the configuration. `settings` and `secrets` are JSON objects; `secrets` may be sealed.
CREATE TABLE providers (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (name <> ''),
    settings   TEXT   NOT NULL,
    secrets    TEXT,
    revision   BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL DEFAULT (EXTRACT(EPOCH FROM now()) * 1000000)::BIGINT,
    updated_at BIGINT NOT NULL DEFAULT (EXTRACT(EPOCH FROM now()) * 1000000)::BIGINT
);

CREATE TABLE models (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (name <> ''),
    settings   TEXT   NOT NULL,
    secrets    TEXT,
    revision   BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL DEFAULT (EXTRACT(EPOCH FROM now()) * 1000000)::BIGINT,
    updated_at BIGINT NOT NULL DEFAULT (EXTRACT(EPOCH FROM now()) * 1000000)::BIGINT
);

-- A store has an identifier of its own, and each change a token, which tells it from the change that gets the same version
-- after the store was put back to an earlier state.
ALTER TABLE config_version ADD COLUMN store_id TEXT NOT NULL DEFAULT gen_random_uuid()::TEXT;
ALTER TABLE changes ADD COLUMN token TEXT COLLATE "C" NOT NULL DEFAULT gen_random_uuid()::TEXT;

-- As that of keys: rows that are written by hand count too. The argument is the kind.
CREATE FUNCTION settings_changed() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND OLD.name <> NEW.name THEN
        PERFORM note_change(1, TG_ARGV[0], OLD.name);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM note_change(1, TG_ARGV[0], NEW.name);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION settings_count_revision() RETURNS TRIGGER
LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := OLD.revision + 1;
    RETURN NEW;
END
$$;

-- Whoever follows reads all of them whatever has changed, so one line tells of all rows.
CREATE FUNCTION settings_truncated() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM note_change(1, TG_ARGV[0], '');
    RETURN NULL;
END
$$;

CREATE TRIGGER providers_inserted_or_deleted AFTER INSERT OR DELETE ON providers
    FOR EACH ROW EXECUTE FUNCTION settings_changed('provider');
CREATE TRIGGER providers_updated AFTER UPDATE OF name, settings, secrets, created_at, updated_at ON providers
    FOR EACH ROW EXECUTE FUNCTION settings_changed('provider');
CREATE TRIGGER providers_revised BEFORE UPDATE OF name, settings, secrets, created_at, updated_at ON providers
    FOR EACH ROW EXECUTE FUNCTION settings_count_revision();
CREATE TRIGGER providers_truncated AFTER TRUNCATE ON providers
    FOR EACH STATEMENT EXECUTE FUNCTION settings_truncated('provider');

CREATE TRIGGER models_inserted_or_deleted AFTER INSERT OR DELETE ON models
    FOR EACH ROW EXECUTE FUNCTION settings_changed('model');
CREATE TRIGGER models_updated AFTER UPDATE OF name, settings, secrets, created_at, updated_at ON models
    FOR EACH ROW EXECUTE FUNCTION settings_changed('model');
CREATE TRIGGER models_revised BEFORE UPDATE OF name, settings, secrets, created_at, updated_at ON models
    FOR EACH ROW EXECUTE FUNCTION settings_count_revision();
CREATE TRIGGER models_truncated AFTER TRUNCATE ON models
    FOR EACH STATEMENT EXECUTE FUNCTION settings_truncated('model');
