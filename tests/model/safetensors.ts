/** Writes the safetensors format, for tests. */

export interface RawTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint16Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
}

export function safetensors(tensors: Readonly<Record<string, RawTensor>>): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let end = 0;
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [end, end += bytes.byteLength] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + json.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  let position = 8 + json.length;
  for (const { bytes } of Object.values(tensors)) {
    file.set(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength), position);
    position += bytes.byteLength;
  }
  return file;
}
