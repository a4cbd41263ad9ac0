/** Where the models of a page come from: what is taken for a place, and what a place may say is in it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { knownPlace, type ModelPlace, type PlacedFile } from "../../src/warm/shelf/place.ts";

const PAGE = "https://page.example/app/index.html";
const SHA256 = "ab".repeat(32);
const SHA1 = "cd".repeat(20);
const COMMIT = "ef".repeat(20);

/** What a place lists, of which every request is answered with one thing. */
async function listed(
  place: ModelPlace,
  answer: unknown,
  name = "tiny",
): Promise<{ files: PlacedFile[]; asked: string[] }> {
  const asked: string[] = [];
  const files = await knownPlace(name, place, PAGE).list((url) => {
    asked.push(url);
    return Promise.resolve(answer);
  });
  return { files, asked };
}

describe("knownPlace", () => {
  it("takes a URL for a folder's, which is relative to the page and ends with a slash", async () => {
    const { asked } = await listed("../models/tiny", { files: [] });
    assert.deepEqual(asked, ["https://page.example/models/tiny/files.json"]);
    const other = await listed(new URL("https://cdn.example/tiny/"), { files: [] });
    assert.deepEqual(other.asked, ["https://cdn.example/tiny/files.json"]);
  });

  it("asks nobody what is in a folder whose files are named", async () => {
    const files = ["config.json", { path: "onnx/model.onnx", size: 3, sha256: SHA256 }];
    const { files: found, asked } = await listed({ url: "/tiny/", files }, undefined);
    assert.deepEqual(asked, []);
    assert.deepEqual(found, [
      { path: "config.json", url: "https://page.example/tiny/config.json" },
      { path: "onnx/model.onnx", url: "https://page.example/tiny/onnx/model.onnx", size: 3, sha256: SHA256 },
    ]);
  });

  it("asks a hub for a repository's files and their checksums, and passes over what no model has", async () => {
    const siblings = [
      { rfilename: ".gitattributes", size: 1, blobId: SHA1 },
      { rfilename: "config.json", size: 2, blobId: SHA1 },
      { rfilename: "onnx/model.onnx", size: 132, blobId: SHA1, lfs: { sha256: SHA256, size: 3 } },
      null,
    ];
    const place = { hub: "https://hub.example", revision: "v2/final" };
    const { files, asked } = await listed(place, { sha: COMMIT, siblings }, "me/tiny");
    assert.deepEqual(asked, ["https://hub.example/api/models/me/tiny/revision/v2%2Ffinal?blobs=true"]);
    const at = `https://hub.example/me/tiny/resolve/${COMMIT}`;
    assert.deepEqual(files, [
      { path: "config.json", size: 2, gitSha1: SHA1, url: `${at}/config.json` },
      { path: "onnx/model.onnx", size: 3, sha256: SHA256, url: `${at}/onnx/model.onnx` },
    ]);
  });

  it("takes repository and revision from the model's name where they are not said", async () => {
    const { asked } = await listed({ hub: "https://hub.example" }, { sha: COMMIT, siblings: [] }, "me/tiny@v1");
    assert.deepEqual(asked, ["https://hub.example/api/models/me/tiny/revision/v1?blobs=true"]);
  });

  it("sends a token to the hub it is for, and does not tell it by the place's id", () => {
    const { headers, id } = knownPlace("tiny", { hub: "https://hub.example", token: "hf_secret" }, PAGE);
    assert.deepEqual(headers, { Authorization: "Bearer hf_secret" });
    assert.ok(!id.includes("hf_secret"));
  });

  it("has another id for another place, and for other files of it", () => {
    const places: ModelPlace[] = [
      "/a/",
      "/b/",
      { url: "/a/", files: ["config.json"] },
      { hub: "/a/" },
      { hub: "/a/", revision: "v2" },
      { hub: "/a/", id: "other" },
    ];
    assert.equal(new Set(places.map((place) => knownPlace("tiny", place, PAGE).id)).size, places.length);
  });

  it("refuses what is no place", () => {
    const odd: [name: string, place: unknown, message: RegExp][] = [
      ["../tiny", "/tiny/", /^Cannot keep a model under this name: "\.\.\/tiny"$/],
      ["tiny", "file:///tiny/", /no HTTP URL of a folder: file:\/\/\/tiny\/$/],
      ["tiny", "https://me:secret@page.example/", /no HTTP URL/],
      ["tiny", "/tiny/?a=b", /no HTTP URL/],
      ["tiny", 7, /^Cannot say where tiny is: 7$/],
      ["tiny", { url: "/tiny/", file: [] }, /unknown option \(known: url, files\): file$/],
      ["tiny", { hub: "https://hub.example", id: "../x" }, /^Cannot ask a hub for this model: "\.\.\/x"$/],
      ["tiny", { hub: "https://hub.example", revision: "../x" }, /at what is no revision: "\.\.\/x"$/],
      ["tiny", { hub: "https://hub.example", token: "a\nb" }, /the token has characters that no token has$/],
    ];
    for (const [name, place, message] of odd) {
      assert.throws(() => knownPlace(name, place as ModelPlace, PAGE), { name: "TypeError", message });
    }
  });

  it("refuses lists that lead out of the folder, or are none", async () => {
    const odd: unknown[] = [
      ...["../config.json", "/config.json", "a/../b", "a//b", ".env", "", "http://other.example/x"],
      { path: "config.json", size: -1 },
      { path: "config.json", sha256: "short" },
      null,
    ];
    for (const file of odd) {
      await assert.rejects(listed("/tiny/", { files: [file] }), {
        name: "TypeError",
        message: /this is no file of it/,
      });
    }
    for (const answer of [null, {}, { files: "config.json" }]) {
      await assert.rejects(listed("/tiny/", answer), { name: "TypeError", message: /there is no list of files/ });
    }
    for (const answer of [null, { sha: "main", siblings: [] }, { sha: COMMIT }]) {
      await assert.rejects(listed({ hub: "/hub/" }, answer), {
        name: "TypeError",
        message: /the answer is not a hub's/,
      });
    }
  });
});
