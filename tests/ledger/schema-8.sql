-- The ledger's tables in version 8. Stays as it is: the tests upgrade from here.

CREATE TABLE ledger (
    version INTEGER NOT NULL
);

INSERT INTO ledger VALUES (8);

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
    PRIMARY KEY (id)
);

CREATE INDEX ix_reservations_created ON reservations (created);
CREATE INDEX ix_reservations_ended ON reservations (ended);

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
