// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CustomResourceDefinition } from 'kubernetes-models/apiextensions.k8s.io/v1';
import { describe, expect, it, test } from 'vitest';
import { parse } from 'yaml';
import { problemsOf } from '../../testing/custom_resources.js';
import { parseDocuments } from '../parse.js';
import { crd, crdFile, crdText } from './crd.js';
import { CRD_KINDS, type CrdKind } from './kinds.js';
import { type Structural, toStructural } from './structural.js';

const DEPLOY = join(import.meta.dirname, '../../../../deploy');
const schemas = new Map(CRD_KINDS.map((kind) => [kind, crd(kind).spec.versions[0]?.schema.openAPIV3Schema]));
const schemaOf = (kind: CrdKind) => schemas.get(kind) as Structural;

function examples(folder: string): { name: string; text: string }[] {
  const path = join(DEPLOY, 'examples', folder);
  return readdirSync(path).map((name) => ({ name, text: readFileSync(join(path, name), 'utf8') }));
}

function applied(text: string): string[] {
  const object = parse(text) as { kind: CrdKind };
  return problemsOf(schemaOf(object.kind), object);
}

test.each(CRD_KINDS)('the definition of %s in the chart is that of this version (npm run schema writes it)', (kind) => {
  expect(readFileSync(join(DEPLOY, 'helm/cellwall/crds', crdFile(kind)), 'utf8')).toBe(crdText(kind));
});

test.each(CRD_KINDS)('the definition of %s is one by the schemas of Kubernetes', (kind) => {
  expect(() => new CustomResourceDefinition(crd(kind) as never).validate()).not.toThrow();
});

describe('examples', () => {
  it.each(examples('accepted'))('$name is taken by the API server and by us', ({ text, name }) => {
    expect(applied(text)).toEqual([]);
    expect(parseDocuments(text, name).problems).toEqual([]);
  });

  it.each(examples('refused'))('$name is refused by the API server and by us, for its reason', ({ text, name }) => {
    const reason = new RegExp(/^# refused: (.*)$/m.exec(text)?.[1] ?? 'the example does not say why');
    expect(applied(text).join('\n')).toMatch(reason);
    expect(
      parseDocuments(text, name)
        .problems.map((it) => `${it.where} ${it.message}`)
        .join('\n'),
    ).toMatch(reason);
  });
});

describe('the structural schema', () => {
  it('keeps what it does not know, so that the server can refuse it rather than read something wider', () => {
    const misspelt = 'kind: ContainerPolicy\nspec: {subjct: {}}';
    expect(applied(misspelt)).toEqual([]);
    expect(schemaOf('ContainerPolicy').properties?.spec).toMatchObject({
      'x-kubernetes-preserve-unknown-fields': true,
    });
  });

  it('fills in the defaults that people should see', () => {
    const object = { kind: 'ContainerPolicy', spec: {} };
    expect(problemsOf(schemaOf('ContainerPolicy'), object)).toEqual([]);
    expect(object.spec).toEqual({ mode: 'Enforce', loopback: 'Allow', rawSockets: 'Deny' });
  });

  it('has no place for what the API server could not check', () => {
    expect(() => toStructural({ type: 'string', pattern: '(?=a)b' }, 'x')).toThrowError(/cannot check the pattern/);
    expect(() => toStructural({ type: 'string', contentEncoding: 'base64' }, 'x')).toThrowError(/contentEncoding/);
  });

  it('differs between the kinds in namespaces alone', () => {
    const subject = (kind: CrdKind) => schemaOf(kind).properties?.spec?.properties?.subject?.properties ?? {};
    expect(Object.keys(subject('ContainerPolicy'))).toEqual(['pods', 'images', 'containers']);
    expect(Object.keys(subject('ClusterContainerPolicy'))).toEqual(['pods', 'images', 'containers', 'namespaces']);
  });
});
