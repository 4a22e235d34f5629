-- Version 1 of the study's database; docs/formats.md says what each column means.

CREATE TABLE facts (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    native TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    followers INTEGER,
    hidden TEXT
) STRICT;

CREATE TABLE photos (
    id INTEGER PRIMARY KEY,
    native TEXT NOT NULL UNIQUE,
    user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    url TEXT NOT NULL,
    page TEXT NOT NULL,
    created INTEGER,
    likes INTEGER NOT NULL
) STRICT;
CREATE INDEX photos_user ON photos (user);

CREATE TABLE cursors (
    source TEXT PRIMARY KEY,
    next TEXT,
    ended INTEGER NOT NULL
) STRICT;

CREATE TABLE counts (
    stage TEXT NOT NULL,
    place INTEGER NOT NULL,
    reason TEXT NOT NULL,
    photos INTEGER NOT NULL,
    PRIMARY KEY (stage, reason)
) STRICT;

CREATE TABLE labels (
    photo INTEGER PRIMARY KEY REFERENCES photos ON DELETE CASCADE,
    removed TEXT,
    rate REAL,
    good INTEGER,
    part TEXT
) STRICT;

CREATE TABLE downloads (
    photo INTEGER PRIMARY KEY REFERENCES photos ON DELETE CASCADE,
    state TEXT NOT NULL CHECK (state IN ('done', 'failed')),
    file TEXT,
    bytes INTEGER,
    sha256 TEXT,
    width INTEGER,
    height INTEGER,
    likeness BLOB,
    duplicate_of INTEGER,
    reason TEXT
) STRICT;

CREATE TABLE faces (
    photo INTEGER NOT NULL REFERENCES photos ON DELETE CASCADE,
    place INTEGER NOT NULL,
    x REAL NOT NULL,
    y REAL NOT NULL,
    w REAL NOT NULL,
    h REAL NOT NULL,
    confidence REAL NOT NULL,
    PRIMARY KEY (photo, place)
) STRICT;

CREATE TABLE filters (
    photo INTEGER NOT NULL REFERENCES photos ON DELETE CASCADE,
    filter TEXT NOT NULL,
    keep INTEGER NOT NULL,
    confidence REAL,
    PRIMARY KEY (photo, filter)
) STRICT;

CREATE TABLE comparisons (
    photos TEXT NOT NULL,
    features TEXT NOT NULL,
    mirrored INTEGER NOT NULL,
    method TEXT NOT NULL,
    c REAL,
    ap REAL NOT NULL,
    ap_spread REAL NOT NULL,
    roc_auc REAL NOT NULL,
    accuracy REAL NOT NULL,
    PRIMARY KEY (photos, features, mirrored, method)
) STRICT;

CREATE TABLE scores (
    photo INTEGER NOT NULL REFERENCES photos ON DELETE CASCADE,
    model TEXT NOT NULL,
    score REAL NOT NULL,
    probability REAL NOT NULL,
    PRIMARY KEY (photo, model)
) STRICT;

CREATE TABLE models (
    name TEXT PRIMARY KEY,
    photos TEXT NOT NULL,
    features TEXT NOT NULL,
    method TEXT NOT NULL,
    learnt INTEGER NOT NULL,
    judged INTEGER NOT NULL,
    chance REAL NOT NULL,
    ap REAL NOT NULL,
    ap_low REAL NOT NULL,
    ap_high REAL NOT NULL,
    p REAL NOT NULL,
    roc_auc REAL NOT NULL,
    accuracy REAL NOT NULL
) STRICT;

CREATE TABLE stages (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('running', 'done')),
    inputs TEXT NOT NULL,
    outputs TEXT,
    summary TEXT,
    begun INTEGER,
    ended INTEGER
) STRICT;

CREATE TABLE forgotten (
    hash TEXT PRIMARY KEY
) STRICT;
