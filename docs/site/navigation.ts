/**
 * The order in which the manual is read. A page that is not here, or that is here and nowhere else, fails the build.
 *
 * @module
 */

/** A page. */
export interface Place {
  /** The Markdown file, from the repository's root. */
  readonly source: string;
  /** What the navigation calls it, where its own title is long. */
  readonly name: string;
  /** Its file in the site, less `.html`. */
  readonly address: string;
}

/** Pages that belong together. */
export interface Group {
  readonly name: string;
  readonly places: readonly Place[];
}

const docs = (file: string, name: string): Place => ({ source: `docs/${file}.md`, name, address: file });

const elsewhere = (source: string, address: string, name: string): Place => ({ source, name, address });

/** The first page. */
export const FRONT: Place = { source: "README.md", name: "warmcache", address: "index" };

/** All others. */
export const GROUPS: readonly Group[] = [
  { name: "Start", places: [FRONT, docs("start", "Start in five minutes")] },
  {
    name: "Recipes",
    places: [
      docs("recipes/evals", "An evaluation"),
      docs("recipes/ci", "Replay on CI"),
      docs("recipes/sharing", "Sharing a cache"),
      docs("recipes/proxy", "A caching proxy"),
      docs("recipes/browser", "A cache in a page"),
      docs("recipes/edge", "At the edge"),
      docs("recipes/adapters", "What an adapter changed"),
      docs("recipes/python", "From Python"),
      elsewhere("examples/README.md", "examples", "Whole programs"),
    ],
  },
  {
    name: "The cache",
    places: [
      docs("cache", "Call by call"),
      docs("interop", "In the tools you use"),
      docs("stores", "Where answers are kept"),
      docs("sqlite", "On disk"),
      docs("redis", "In Redis"),
      docs("remote", "On a server"),
      docs("key", "The key, specified"),
      docs("cli", "The command line"),
      docs("packs", "Packs"),
      docs("migration", "Migration"),
      docs("repair", "Verify and repair"),
      docs("testing", "Stores of your own"),
    ],
  },
  {
    name: "The server",
    places: [
      docs("proxy", "The caching proxy"),
      docs("openai", "OpenAI’s interface"),
      docs("dashboard", "The dashboard"),
      docs("client", "Its client"),
      docs("settings", "Settings"),
    ],
  },
  {
    name: "Models",
    places: [
      docs("models", "Models"),
      docs("adapters", "Adapters"),
      docs("embeddings", "Embeddings"),
      docs("probes", "Probes"),
      docs("warm", "From code"),
      docs("residency", "What stays loaded"),
      docs("gpu", "On a GPU"),
    ],
  },
  {
    name: "Elsewhere",
    places: [docs("browser", "In a browser"), docs("edge", "At the edge"), docs("bundles", "Bundles")],
  },
  {
    name: "Trust and speed",
    places: [
      docs("reliability", "Reliability"),
      docs("performance", "Performance"),
      elsewhere("bench/README.md", "benchmarks", "Every benchmark"),
      docs("scale", "How far it goes"),
    ],
  },
  {
    name: "Running it",
    places: [
      docs("operations", "Operations"),
      docs("admin", "A running server"),
      docs("limits", "Limits"),
      docs("security", "Security"),
      elsewhere("deploy/cluster/README.md", "cluster", "A cluster"),
    ],
  },
  {
    name: "The project",
    places: [
      docs("house", "The house"),
      docs("contributing", "Contributing"),
      elsewhere("CHANGELOG.md", "changelog", "Changes"),
    ],
  },
];

/** All pages, in order. */
export const PLACES: readonly Place[] = GROUPS.flatMap(({ places }) => places);
