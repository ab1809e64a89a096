// Reads a JSON array of texts on stdin; writes the array of their numbers of tokens (o200k).
// Run it in the folder that has the packages.
const tokenizer = require.resolve("gpt-tokenizer/encoding/o200k_base", { paths: [process.cwd()] });
const { encode } = require(tokenizer);
const texts = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(texts.map((text) => encode(text).length)));
