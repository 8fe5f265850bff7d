// SPDX-License-Identifier: Apache-2.0
//
// The same rows as ingest.js, put into the same table by C alone: what SQLite can do here. `raw_sqlite FILE MILLIONS ROWS_PER_COMMIT`,
// with the schema of a day file made before; prints rows per second, and per second of the processor.
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { COLUMNS = 22, BATCH = 1024, CONTAINERS = 50 };

static void check(sqlite3 *database, int result, int wanted)
{
	if (result == wanted) return;
	fprintf(stderr, "raw_sqlite: %s\n", sqlite3_errmsg(database));
	exit(1);
}

static void run(sqlite3 *database, const char *sql)
{
	check(database, sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
}

static double now(clockid_t clock)
{
	struct timespec time;
	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int count, char **words)
{
	sqlite3 *database;
	sqlite3_stmt *insert, *translate;
	long rows, per_commit, first = 0;
	int64_t end_us = (int64_t)time(NULL) * 1000000;
	double began, cpu_began;
	if (count != 4) return 2;
	rows = (long)(atof(words[2]) * 1e6) / BATCH * BATCH;
	per_commit = atol(words[3]);
	check(NULL, sqlite3_open(words[1], &database), SQLITE_OK);
	run(database, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;");
	check(database, sqlite3_prepare_v2(database,
		"INSERT INTO flows VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", -1, &insert, NULL), SQLITE_OK);
	check(database, sqlite3_prepare_v2(database, "INSERT INTO translations VALUES (?,?,?,?,?,?,?)", -1, &translate, NULL), SQLITE_OK);
	began = now(CLOCK_MONOTONIC);
	cpu_began = now(CLOCK_PROCESS_CPUTIME_ID);
	for (long id = 1; id <= rows; id++) {
		long i = (id - 1) % BATCH, sequence = (id - 1) / BATCH + 1;
		int caller = 32768 + (int)((sequence * 7919 + i * 31) % 28000);
		static const int servers[] = {80, 443, 5432, 6379};
		int server = servers[(i >> 1) % 4];
		int64_t ten = (int64_t)0xffff0a000001 + 0;
		int64_t values[] = {id, (i * 7) % CONTAINERS + 1, end_us += 1000, 1000 + i,
			(1 + i % 2) << 8 | (i % 97 ? 1 : 2) << 10 | 6 | (i % 97 ? 1 : 2) << 12,
			0, ten + ((i % 8) << 8), i % 2 ? server : caller, 0, ten + ((i % 64) << 8), i % 2 ? caller : server,
			200 + i, 4000 + i * 3, 5, 6, 60 + i % 40, 0, i % 97 ? 1 : 17, 3, 1000 + i % 20, i % 2 + 1, 0, 0};
		if (!first) {
			run(database, "BEGIN");
			first = id;
		}
		for (int column = 0; column <= COLUMNS; column++) sqlite3_bind_int64(insert, column + 1, values[column]);
		check(database, sqlite3_step(insert), SQLITE_DONE);
		sqlite3_reset(insert);
		if (i % 4 == 0) {
			int64_t ends[] = {id, 0, ten + (3 << 8), 1024 + (sequence * 257 + i / 4 * 101) % 60000, 0, ten + ((i / 4 % 64) << 8), 15432};
			for (int column = 0; column < 7; column++) sqlite3_bind_int64(translate, column + 1, ends[column]);
			check(database, sqlite3_step(translate), SQLITE_DONE);
			sqlite3_reset(translate);
		}
		if (id - first + 1 == per_commit || id == rows) {
			run(database, "COMMIT");
			first = 0;
		}
	}
	printf("%.0f %.0f\n", (double)rows / (now(CLOCK_MONOTONIC) - began), (double)rows / (now(CLOCK_PROCESS_CPUTIME_ID) - cpu_began));
	sqlite3_finalize(insert);
	sqlite3_finalize(translate);
	sqlite3_close(database);
	return 0;
}
