// SPDX-License-Identifier: Apache-2.0
//
// The images of the lab: a real web server, a real database, and the test programs.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './root.js';
import type { ImageRecipe } from './rootfs.js';

export const CACHE = join(ROOT, 'build/images');
const WORKLOADS = join(ROOT, 'build/workloads');
const TEST_TOOLS = ['ask', 'caller', 'connector', 'echo', 'relay', 'sink', 'talker'].map((name) =>
  join(WORKLOADS, name),
);

function postgresFolder(): string {
  const versions = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
  if (!versions[0]) throw new Error("PostgreSQL is missing; 'make setup' installs it");
  return versions[0];
}

/** Of Debian's package ssl-cert, which PostgreSQL brings along. */
const CERTIFICATE = '/etc/ssl/certs/ssl-cert-snakeoil.pem';
const KEY = '/etc/ssl/private/ssl-cert-snakeoil.key';

const NGINX_CONF = `
daemon off;
user www-data;
error_log stderr;
pid /run/nginx.pid;
events {}
http {
  access_log off;
  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
  server {
    listen 80; listen [::]:80; listen 443 ssl; listen 8081 http2;
    ssl_protocols TLSv1.3; ssl_certificate ${CERTIFICATE}; ssl_certificate_key ${KEY};
    location / { return 200 "shop\\n"; }
  }
}
`;

const startDatabase = (folder: string) => `#!/bin/sh
set -e
mkdir -p /var/lib/postgresql/data /var/run/postgresql /dev/shm
chown -R postgres:postgres /var/lib/postgresql /var/run/postgresql
chmod 700 /var/lib/postgresql/data
chmod 1777 /tmp
exec su postgres -s /bin/sh -c '
  ${folder}/bin/initdb -D /var/lib/postgresql/data -A trust -U postgres --no-locale -E UTF8 --no-sync >/dev/null &&
  echo "host all all all trust" >> /var/lib/postgresql/data/pg_hba.conf &&
  exec ${folder}/bin/postgres -D /var/lib/postgresql/data -c listen_addresses="*" -c fsync=off -c timezone=UTC -c log_timezone=UTC'
`;

const CLIENT_PROGRAMS = (version: string) => ['/bin/busybox', `/usr/lib/postgresql/${version}/bin/psql`];

export function pauseImage(): ImageRecipe {
  return {
    name: 'localhost/pause:1',
    programs: [],
    tools: [join(WORKLOADS, 'pause')],
    command: ['/usr/local/bin/pause'],
  };
}

/** A shell and the test programs: small enough to be copied for each container. */
export function toolsImage(): ImageRecipe {
  return {
    name: 'localhost/tools:1',
    programs: ['/bin/busybox'],
    tools: TEST_TOOLS,
    command: ['/bin/sleep', '1000000'],
  };
}

/** What the attacks run: programs of their own, and what sets up devices and rules by hand. */
export function attacksImage(): ImageRecipe {
  const folder = join(ROOT, 'build/attacks');
  return {
    name: 'localhost/attacks:1',
    programs: ['/bin/busybox', '/usr/sbin/ip', '/usr/sbin/nft', '/usr/sbin/dnsmasq'],
    tools: readdirSync(folder).map((name) => join(folder, name)),
    command: ['/bin/sleep', '1000000'],
  };
}

/** nginx, a name server, clients of the web and of a database, and the test programs. */
export function webImage(): ImageRecipe {
  const version = postgresFolder();
  return {
    name: 'localhost/web:1',
    programs: [...CLIENT_PROGRAMS(version), '/usr/sbin/nginx', '/usr/bin/curl', '/usr/sbin/dnsmasq'],
    tools: TEST_TOOLS,
    files: [CERTIFICATE, KEY],
    texts: { '/etc/nginx/nginx.conf': NGINX_CONF, '/var/log/nginx/.keep': '', '/var/lib/nginx/.keep': '' },
    command: ['/usr/sbin/nginx', '-c', '/etc/nginx/nginx.conf'],
  };
}

/** PostgreSQL. */
export function databaseImage(): ImageRecipe {
  const version = postgresFolder();
  const folder = `/usr/lib/postgresql/${version}`;
  const objects = ['dict_snowball.so', 'plpgsql.so'].map((name) => `${folder}/lib/${name}`);
  return {
    name: 'localhost/db:1',
    programs: [...CLIENT_PROGRAMS(version), `${folder}/bin/postgres`, `${folder}/bin/initdb`],
    tools: TEST_TOOLS,
    files: [...objects, `/usr/share/postgresql/${version}`, '/usr/share/zoneinfo/UTC', '/usr/share/zoneinfo/Etc/UTC'],
    texts: { '/start-database': startDatabase(folder) },
    command: ['/bin/sh', '/start-database'],
  };
}

export const psqlPath = (): string => `/usr/lib/postgresql/${postgresFolder()}/bin/psql`;
