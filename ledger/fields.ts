import { fail } from './errors.ts';
import { hexOf, idOfLink } from './ids.ts';
import type { Id } from './ports.ts';

/**
 * Readers of decoded objects: each returns the field in its type or throws `wrong_type`,
 * `unknown_field` or `out_of_range`.
 */

export type Fields = Readonly<Record<string, unknown>>;

/** The value as a map with no fields but `known`. */
export function fieldsOf(value: unknown, known: ReadonlySet<string>, what: string): Fields {
  if (
    typeof value !== 'object' ||
    value === null ||
    Array.isArray(value) ||
    value instanceof Uint8Array
  ) {
    fail('wrong_type', `A ${what} is a map.`, { what });
  }
  const fields = value as Fields;
  for (const name in fields) {
    if (!known.has(name)) {
      fail('unknown_field', `A ${what} has no field "${name}".`, { what, field: name });
    }
  }
  return fields;
}

/** Checks `t` and `v`; throws `wrong_object` or `unknown_version`. */
export function assertTag(fields: Fields, t: string): void {
  if (fields['t'] !== t) fail('wrong_object', `An object with t "${t}" is expected here.`);
  if (fields['v'] !== 1) {
    fail('unknown_version', 'Only version 1 is known here: update this software.', { t });
  }
}

export function integerOf(fields: Fields, name: string, least: number, most: number): number {
  return asInteger(fields[name], name, least, most);
}

export function asInteger(value: unknown, name: string, least: number, most: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    fail('wrong_type', `${name} is an integer.`, { field: name });
  }
  if (value < least || value > most) {
    fail('out_of_range', `${name} lies between ${least} and ${most}.`, { field: name, value });
  }
  return value;
}

export function textOfField(fields: Fields, name: string, length_max: number): string {
  const value = fields[name];
  if (typeof value !== 'string') fail('wrong_type', `${name} is a text.`, { field: name });
  if (value.length > length_max) {
    fail('out_of_range', `${name} has at most ${length_max} characters.`, {
      field: name,
      length: value.length,
    });
  }
  return value;
}

export function bytesOfField(fields: Fields, name: string, length_max: number): Uint8Array {
  const value = fields[name];
  if (!(value instanceof Uint8Array)) {
    fail('wrong_type', `${name} is a byte string.`, { field: name });
  }
  if (value.length > length_max) {
    fail('out_of_range', `${name} has at most ${length_max} bytes.`, {
      field: name,
      length: value.length,
    });
  }
  return value;
}

/** A SHA-256 digest kept as 32 bytes. */
export function digestOf(fields: Fields, name: string): Id {
  return asDigest(fields[name], name);
}

export function asDigest(value: unknown, name: string): Id {
  if (!(value instanceof Uint8Array) || value.length !== 32) {
    fail('wrong_type', `${name} is a byte string of 32 bytes.`, { field: name });
  }
  return hexOf(value);
}

export function linkOfField(fields: Fields, name: string): Id {
  return idOfLink(fields[name]);
}

export function listOf(value: unknown, name: string, length_max: number): readonly unknown[] {
  if (!Array.isArray(value)) fail('wrong_type', `${name} is a list.`, { field: name });
  if (value.length > length_max) {
    fail('out_of_range', `${name} has at most ${length_max} items.`, {
      field: name,
      length: value.length,
    });
  }
  return value;
}
