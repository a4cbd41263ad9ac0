/** A Worker that dies at once. */

throw new Error("I am broken");
