// Holds Kubernetes objects against the schemas of their kinds: validate.js FILE... prints what is wrong, and
// exits with 1 if anything is.
"use strict";

const fs = require("node:fs");
const { parseAllDocuments } = require("yaml");

// Where the models of an API group are; those of the core are in v1.
const MODELS = {
  "apps/v1": require("kubernetes-models/apps/v1"),
  "keda.sh/v1alpha1": require("@kubernetes-models/keda/keda.sh/v1alpha1"),
  "networking.k8s.io/v1": require("kubernetes-models/networking.k8s.io/v1"),
  "policy/v1": require("kubernetes-models/policy/v1"),
  v1: require("kubernetes-models/v1"),
};

// The schemas don't mind members that they do not know, but a validator reads every member that it does know: those that it has not
// read are misspelled. Gives the value wrapped, and notes what is read of it in `read`, by path.
function watch(value, path, read) {
  if (typeof value !== "object" || value === null) return value;
  return new Proxy(value, {
    get(target, name) {
      if (!Object.hasOwn(target, name) || (Array.isArray(target) && name === "length")) return target[name];
      const inner = `${path}/${String(name)}`;
      read.add(inner);
      return watch(target[name], inner, read);
    },
  });
}

function membersOf(value, path) {
  if (typeof value !== "object" || value === null) return [];
  return Object.keys(value).flatMap((name) => [`${path}/${name}`, ...membersOf(value[name], `${path}/${name}`)]);
}

function faults(object) {
  const Model = MODELS[object?.apiVersion]?.[object?.kind];
  if (Model === undefined) return [`there is no kind ${object?.kind} in ${object?.apiVersion}`];
  const read = new Set();
  const found = [];
  // validate() of a model is the schema's, of the members that it has: through a wrapper, not through a copy
  const model = new Model(object);
  for (const name of Object.keys(object)) model[name] = watch(object[name], `/${name}`, read);
  try {
    model.validate();
  } catch (error) {
    found.push(error.message);
  }
  const unread = membersOf(object, "").filter((path) => path.split("/").length > 2 && !read.has(path));
  // of a member that nobody knows, not what is in it, too
  const outermost = unread.filter((path) => !unread.some((other) => path.startsWith(`${other}/`)));
  return found.concat(outermost.map((path) => `nobody knows ${path}`));
}

let bad = false;
for (const file of process.argv.slice(2)) {
  const documents = parseAllDocuments(fs.readFileSync(file, "utf8"), { uniqueKeys: true });
  for (const document of documents) {
    const object = document.toJS();
    const wrong = document.errors.length > 0 ? document.errors.map(String) : faults(object);
    for (const fault of wrong) console.log(`${file}: ${object?.kind} ${object?.metadata?.name}: ${fault}`);
    bad ||= wrong.length > 0;
  }
}
process.exitCode = bad ? 1 : 0;
