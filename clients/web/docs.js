/** The page `/docs`: what `/openapi.json` says, to read. */
import { ask, ProblemError } from "./api.js";
import { quote } from "./curl.js";
import { find, make } from "./dom.js";
import { describeType, makeProperties, makeTable, schemaId, withCode } from "./schemas.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

/**
 * Fills the page with an OpenAPI document.
 * @param {object} api
 */
export function showApi(api) {
  const operations = listOperations(api);
  const schemas = Object.entries(api.components?.schemas ?? {});
  const intro = make(
    "p",
    { class: "intro" },
    ...withCode(api.info.description ?? ""),
    make("span", { class: "quiet" }, ` Version ${api.info.version}.`),
  );
  find("operations").replaceChildren(
    intro,
    ...operations.map(makeOperation),
    make("h2", { id: "shapes" }, "Shapes"),
    ...schemas.map(([name, schema]) => makeSchema(name, schema)),
  );
  find("contents").replaceChildren(makeContents(operations));
  find("contents").hidden = false;
  find("status").hidden = true;
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

function listOperations(api) {
  return Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => method in item).map((method) => {
      const parameters = [...(item.parameters ?? []), ...(item[method].parameters ?? [])];
      return { ...item[method], parameters, path, method, id: `${method}${path.replace(/[^a-z0-9]+/gi, "-")}` };
    }),
  );
}

function makeContents(operations) {
  const links = operations.map(({ id, method, path }) =>
    make("li", {}, make("a", { href: `#${id}` }, makeMethod(method), make("code", { class: "text" }, path))),
  );
  return make("ul", {}, ...links, make("li", {}, make("a", { href: "#shapes" }, "Shapes")));
}

function makeOperation(operation) {
  const { id, method, path, summary, description, parameters, requestBody, responses } = operation;
  const title = make("h2", { id }, makeMethod(method), make("code", { class: "text" }, path));
  const parts = [title];
  if (summary) parts.push(make("p", { class: "summary" }, summary));
  for (const paragraph of (description ?? "").split(/\n\s*\n/).filter(Boolean))
    parts.push(make("p", {}, ...withCode(paragraph)));
  parts.push(...describeExamples(operation).map((text, place) => makeCode(text, `Example ${place + 1} for ${path}`)));
  if (parameters.length) {
    const rows = parameters.map(({ name, in: where, schema, required, description: text }) => ({
      name,
      where,
      schema: schema ?? {},
      required,
      description: text,
    }));
    parts.push(make("h3", {}, "Parameters"), makeTable(rows, `Parameters of ${path}`));
  }
  if (requestBody) parts.push(make("h3", {}, "Body"), ...makeBody(requestBody, path));
  parts.push(make("h3", {}, "Answers"), makeResponses(responses ?? {}, path));
  return make("section", { class: "card", "aria-labelledby": id }, ...parts);
}

function makeMethod(method) {
  return make("span", { class: `method ${method}` }, method.toUpperCase());
}

/** Media types whose bodies are alike stand together. */
function makeBody(body, path) {
  const alike = new Map();
  for (const [type, content] of Object.entries(body.content ?? {})) {
    const key = JSON.stringify(content.schema);
    alike.set(key, [...(alike.get(key) ?? []), [type, content]]);
  }
  return [...alike.values()].flatMap((entries) => {
    const { schema = {} } = entries[0][1];
    const types = entries.flatMap(([type], place) => [place ? ", " : "", make("code", {}, type)]);
    const parts = [make("p", {}, ...types, ...(schema.properties ? [] : [": ", ...describeType(schema)]))];
    if (schema.properties) parts.push(makeProperties(schema, `Parts of ${path}`));
    for (const [name, one] of Object.entries(schema.properties ?? {})) {
      if (one.properties)
        parts.push(
          make("p", {}, make("code", {}, name), `: ${one.description ?? ""}`),
          makeProperties(one, `${name} of ${path}`),
        );
    }
    return parts;
  });
}

function makeResponses(responses, path) {
  const rows = Object.entries(responses).map(([status, { description, content }]) => {
    const types = Object.entries(content ?? {}).map(([type, { schema }]) =>
      make(
        "div",
        {},
        make("code", {}, type),
        ...(schema && Object.keys(schema).length ? [" ", ...describeType(schema)] : []),
      ),
    );
    return make(
      "tr",
      {},
      make("th", { scope: "row", class: "number" }, status),
      make("td", {}, ...(Number(status) >= 400 ? linkProblems(description) : withCode(description ?? ""))),
      make("td", {}, ...types),
    );
  });
  const head = make("tr", {}, ...["Status", "Meaning", "Body"].map((text) => make("th", { scope: "col" }, text)));
  const caption = `Answers of ${path}`;
  return make(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    make(
      "table",
      { class: "answers" },
      make("caption", { class: "visually-hidden" }, caption),
      make("thead", {}, head),
      make("tbody", {}, ...rows),
    ),
  );
}

/** The types of problems, each a link to what it means. */
function linkProblems(description) {
  return description.split(", ").flatMap((slug, place) => {
    const isSlug = /^[a-z0-9]+(-[a-z0-9]+)*$/.test(slug);
    return [place ? ", " : "", isSlug ? make("a", { href: `/problems/${slug}` }, slug) : slug];
  });
}

/** Commands that ask for an operation. */
function describeExamples({ method, path, requestBody, parameters }) {
  const query = new URLSearchParams();
  for (const { name, in: where, schema = {}, example } of parameters) {
    const value = example ?? schema.example ?? schema.examples?.[0];
    if (where === "query" && value !== undefined) [value].flat().forEach((one) => query.append(name, one));
  }
  const url = quote(`${location.origin}${path}${query.size ? `?${query}` : ""}`);
  const content = requestBody?.content ?? {};
  const examples = [];
  if (method === "get") examples.push(`curl ${url}`);
  if (content["image/jpeg"]) examples.push(`curl --data-binary @image.jpg -H 'Content-Type: image/jpeg' \\\n  ${url}`);
  const form = content["multipart/form-data"]?.schema?.properties;
  if (form) {
    const parts = Object.entries(form).map(([name, schema]) => {
      const example = schema.examples?.[0];
      return example ? `-F ${quote(`${name}=${JSON.stringify(example)}`)}` : `-F ${name}=@image.jpg`;
    });
    examples.push(`curl ${parts.join(" ")} \\\n  ${quote(location.origin + path)}`);
  }
  return examples;
}

function makeSchema(name, schema) {
  const title = make("h3", { id: schemaId(name) }, name);
  const text = schema.description ? [make("p", {}, ...withCode(schema.description))] : [];
  return make(
    "section",
    { class: "card shape", "aria-labelledby": schemaId(name) },
    title,
    ...text,
    schema.properties ? makeProperties(schema, `Properties of ${name}`) : make("p", {}, ...describeType(schema)),
  );
}

function makeCode(text, name) {
  return make("pre", { tabindex: 0, role: "region", "aria-label": name }, text);
}

try {
  showApi(await ask("/openapi.json"));
} catch (error) {
  if (!(error instanceof ProblemError)) throw error;
  find("status").textContent = `${error.problem.title}. ${error.problem.detail ?? ""}`;
}
