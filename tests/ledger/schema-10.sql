-- The ledger's tables in version 10. Stays as it is: the tests upgrade from here.

CREATE TABLE ledger (
    version INTEGER NOT NULL
);

INSERT INTO ledger VALUES (10);

CREATE TABLE tasks (
    id TEXT NOT NULL,
    kie_id TEXT,
    tool TEXT NOT NULL,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    route TEXT NOT NULL,
    state TEXT NOT NULL,
    arguments JSON NOT NULL,
    created FLOAT NOT NULL,
    finished FLOAT,
    estimate JSON,
    credits FLOAT,
    results JSON NOT NULL,
    texts JSON NOT NULL,
    error JSON,
    saved BOOLEAN NOT NULL,
    note TEXT NOT NULL,
    request JSON,
    basis TEXT DEFAULT '' NOT NULL,
    reserved FLOAT DEFAULT '0' NOT NULL,
    tariff TEXT DEFAULT '' NOT NULL,
    units FLOAT DEFAULT '1' NOT NULL,
    balance FLOAT,
    fingerprint TEXT DEFAULT '' NOT NULL,
    session TEXT DEFAULT '' NOT NULL,
    watcher TEXT,
    cancelled FLOAT,
    seconds FLOAT,
    number INTEGER,
    listed FLOAT GENERATED ALWAYS AS (CASE WHEN created BETWEEN 0 AND 253402214400.0 THEN created ELSE 0.0 END) VIRTUAL,
    parent TEXT,
    confirmed BOOLEAN DEFAULT 0 NOT NULL,
    day TEXT,
    PRIMARY KEY (id)
);

CREATE INDEX ix_tasks_created ON tasks (created);
CREATE INDEX ix_tasks_fingerprint ON tasks (fingerprint);
CREATE INDEX ix_tasks_kie_id ON tasks (kie_id);
CREATE INDEX ix_tasks_model ON tasks (model);
CREATE INDEX ix_tasks_saved ON tasks (saved);
CREATE INDEX ix_tasks_state ON tasks (state);
CREATE INDEX ix_tasks_number ON tasks (number);
CREATE INDEX ix_tasks_model_state_finished ON tasks (model, state, finished);
CREATE INDEX ix_tasks_model_tariff_finished ON tasks (model, tariff, finished);
CREATE INDEX ix_tasks_listed ON tasks (listed, id);
CREATE INDEX ix_tasks_state_finished ON tasks (state, finished);
CREATE INDEX ix_tasks_state_listed ON tasks (state, listed, id);
CREATE INDEX ix_tasks_finished ON tasks (finished);
CREATE INDEX ix_tasks_session ON tasks (session);
CREATE INDEX ix_tasks_day ON tasks (day, created);
CREATE INDEX ix_tasks_parent ON tasks (parent) WHERE parent IS NOT NULL;

CREATE VIRTUAL TABLE prompts USING fts5 (prompt, content='', tokenize='trigram case_sensitive 1');

CREATE TABLE confirmations (
    id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    expires FLOAT NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE creates (
    account TEXT NOT NULL,
    at FLOAT NOT NULL
);

CREATE TABLE servers (
    id TEXT NOT NULL,
    alive_until FLOAT NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE uploads (
    id TEXT NOT NULL,
    sha256 TEXT,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    size INTEGER,
    mime_type TEXT NOT NULL,
    created FLOAT NOT NULL,
    expires FLOAT NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX ix_uploads_sha256 ON uploads (sha256);

CREATE TABLE marks (
    task TEXT NOT NULL,
    mark TEXT NOT NULL,
    PRIMARY KEY (task, mark)
);

CREATE INDEX ix_marks_mark ON marks (mark);

CREATE TABLE reservations (
    id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    holder TEXT NOT NULL,
    created FLOAT NOT NULL,
    credits FLOAT NOT NULL,
    ended BOOLEAN NOT NULL,
    account TEXT DEFAULT '' NOT NULL,
    settled FLOAT,
    PRIMARY KEY (id)
);

CREATE INDEX ix_reservations_created ON reservations (created);
CREATE INDEX ix_reservations_ended ON reservations (ended);
CREATE INDEX ix_reservations_settled ON reservations (settled);

CREATE TABLE keys (
    tenant TEXT NOT NULL,
    ciphertext TEXT NOT NULL,
    changed FLOAT NOT NULL,
    PRIMARY KEY (tenant)
);

CREATE TABLE reads (
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    number INTEGER NOT NULL,
    holder TEXT NOT NULL,
    until FLOAT NOT NULL,
    leased FLOAT DEFAULT '0' NOT NULL,
    PRIMARY KEY (account, kind, number)
);

CREATE TABLE sources (
    source TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (source, number)
);

CREATE TABLE spending (
    day TEXT NOT NULL,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    refused BOOLEAN NOT NULL,
    known BOOLEAN NOT NULL,
    free BOOLEAN NOT NULL,
    tasks INTEGER NOT NULL,
    charged FLOAT NOT NULL,
    reserved FLOAT NOT NULL,
    PRIMARY KEY (day, model, kind, state, refused, known, free)
);

CREATE TRIGGER sum_changed AFTER UPDATE ON tasks WHEN coalesce(OLD.day, NEW.day) IS NOT NULL AND (OLD.day, OLD.model, OLD.kind, OLD.state, OLD.kie_id, OLD.error, OLD.credits, OLD.reserved, OLD.parent, OLD.route) IS NOT (NEW.day, NEW.model, NEW.kind, NEW.state, NEW.kie_id, NEW.error, NEW.credits, NEW.reserved, NEW.parent, NEW.route)
            BEGIN INSERT INTO spending (day, model, kind, state, refused, known, free, tasks, charged, reserved)
        SELECT day, CAST(model AS TEXT), CAST(kind AS TEXT), state,
            state = 'failed' AND kie_id IS NULL AND coalesce(instr(error, '"billed": false') > 0, FALSE),
            credits IS NOT NULL, coalesce(credits = 0, FALSE), sum(sign),
            sum(sign * CASE WHEN credits BETWEEN 0 AND 1e9 THEN credits ELSE 0 END),
            sum(sign * CASE WHEN reserved BETWEEN 0 AND 1e9 THEN reserved ELSE 0 END)
        FROM (SELECT -1 AS sign, OLD.day AS day, OLD.model AS model, OLD.kind AS kind, OLD.state AS state, OLD.kie_id AS kie_id, OLD.error AS error, OLD.credits AS credits, OLD.reserved AS reserved, OLD.parent AS parent, OLD.route AS route UNION ALL SELECT 1 AS sign, NEW.day AS day, NEW.model AS model, NEW.kind AS kind, NEW.state AS state, NEW.kie_id AS kie_id, NEW.error AS error, NEW.credits AS credits, NEW.reserved AS reserved, NEW.parent AS parent, NEW.route AS route) AS changed
        WHERE day IS NOT NULL AND parent IS NULL AND route <> 'batch'
        GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7
        ON CONFLICT (day, model, kind, state, refused, known, free) DO UPDATE SET
            tasks = spending.tasks + excluded.tasks,
            charged = spending.charged + excluded.charged,
            reserved = spending.reserved + excluded.reserved; END;

CREATE TRIGGER sum_deleted AFTER DELETE ON tasks WHEN OLD.day IS NOT NULL
            BEGIN INSERT INTO spending (day, model, kind, state, refused, known, free, tasks, charged, reserved)
        SELECT day, CAST(model AS TEXT), CAST(kind AS TEXT), state,
            state = 'failed' AND kie_id IS NULL AND coalesce(instr(error, '"billed": false') > 0, FALSE),
            credits IS NOT NULL, coalesce(credits = 0, FALSE), sum(sign),
            sum(sign * CASE WHEN credits BETWEEN 0 AND 1e9 THEN credits ELSE 0 END),
            sum(sign * CASE WHEN reserved BETWEEN 0 AND 1e9 THEN reserved ELSE 0 END)
        FROM (SELECT -1 AS sign, OLD.day AS day, OLD.model AS model, OLD.kind AS kind, OLD.state AS state, OLD.kie_id AS kie_id, OLD.error AS error, OLD.credits AS credits, OLD.reserved AS reserved, OLD.parent AS parent, OLD.route AS route) AS changed
        WHERE day IS NOT NULL AND parent IS NULL AND route <> 'batch'
        GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7
        ON CONFLICT (day, model, kind, state, refused, known, free) DO UPDATE SET
            tasks = spending.tasks + excluded.tasks,
            charged = spending.charged + excluded.charged,
            reserved = spending.reserved + excluded.reserved; END;
