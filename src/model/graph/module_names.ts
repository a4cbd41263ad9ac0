/**
 * What exporters call a module. PyTorch's exporter names nodes by scope; newer ones keep the names of weights alone;
 * onnxruntime-genai has names of its own, and computes some modules together.
 *
 * @module
 */

/**
 * Path of the module that a node computes, by the node's name (`/model/layers.0/self_attn/q_proj/MatMul`, and the same
 * with what quantisers append), else by its weight's (`model.layers.0.self_attn.q_proj.weight`).
 */
export function layerPath(node: string, weight: string): string | undefined {
  const scope = /^\/(.+)\/(?:MatMul|Gemm)[^/]*$/.exec(node)?.[1];
  return scope?.replaceAll("/", ".") ?? /^(.+?)(?:\.MatMul[^.]*)?\.q?weight(?:_\w+)?$/.exec(weight)?.[1];
}

/** What models are wrapped in: whether an export has them depends on the class that was exported. */
const WRAPPERS: ReadonlySet<string> = new Set([
  "model",
  "base_model",
  "language_model",
  "transformer",
  "gpt_neox",
  "bert",
  "roberta",
  "xlm_roberta",
  "distilbert",
  "electra",
  "mpnet",
  "deberta",
]);

/** A module's path from the first part on that is no wrapper of the rest. */
export function withoutWrappers(path: string): string {
  const parts = path.split(".");
  const first = parts.findIndex((part) => !WRAPPERS.has(part));
  return parts.slice(first === -1 ? parts.length - 1 : first).join(".");
}

/** A path under which a graph may compute a module. */
export interface Spelling {
  readonly name: string;
  /** Which of the modules it is that are computed together under this name. */
  readonly part?: { readonly index: number; readonly of: number };
  /** The modules that are computed apart in its place. */
  readonly parts?: readonly string[];
}

/** Modules whose columns follow each other in one product, by what that is called. */
const PACKED: Readonly<Record<string, readonly string[]>> = {
  qkv_proj: ["q_proj", "k_proj", "v_proj"],
  gate_up_proj: ["gate_proj", "up_proj"],
};

/** The paths under which a graph may compute a module, the likeliest first. */
export function spellings(module: string): Spelling[] {
  return [module, genaiName(module)].flatMap((name) => {
    const dot = name.lastIndexOf(".") + 1;
    const [parent, last] = [name.slice(0, dot), name.slice(dot)];
    const parts = Object.hasOwn(PACKED, last) ? PACKED[last]!.map((own) => parent + own) : undefined;
    const together = Object.entries(PACKED).filter(([, members]) => members.includes(last)).map(([joined, members]) => {
      return { name: parent + joined, part: { index: members.indexOf(last), of: members.length } };
    });
    return [{ name }, ...together, ...(parts === undefined ? [] : [{ name, parts }])];
  });
}

/** A module's path in exports of onnxruntime-genai, which call every decoder's attention and its last product alike. */
function genaiName(module: string): string {
  return module.replace(/\.(?:self_attn|self_attention|attention)\./, ".attn.").replace(
    /\.attn\.dense$/,
    ".attn.o_proj",
  );
}
