// Prints the operations that the vendor's client declares, as an OpenAPI 3.1 document:
//
//     node witness.mjs getOrCreateMessage ...
//
// An operation that the client does not have is left out.
// It runs in a folder where @botpress/client and ts-json-schema-generator are installed.
import { readFileSync, writeFileSync } from 'node:fs'
import { createGenerator } from 'ts-json-schema-generator'

const read = (file) => JSON.parse(readFileSync(`node_modules/@botpress/client/${file}`, 'utf8'))

// The package's own types are one bundle; its source map has the original generated files.
const map = read('dist/index.cjs.map')
const source = (name) =>
  map.sourcesContent[map.sources.findIndex((path) => path.endsWith(`/src/gen/runtime/${name}.ts`))]
const first = (text, pattern) => {
  const found = text.match(pattern)
  if (!found) throw new Error(`the source of @botpress/client has changed: no ${pattern}`)
  return found[1]
}

const index = source('index') ?? ''
const paths = {}
const definitions = {}
for (const operation of process.argv.slice(2)) {
  const types = source(`operations/${operation}`)
  if (types === undefined) continue
  writeFileSync('operation.ts', types)
  const generator = createGenerator({
    path: 'operation.ts',
    expose: 'none',
    topRef: false,
    jsDoc: 'none',
    skipTypeCheck: true,
  })
  const schema = (part) => {
    const name = operation[0].toUpperCase() + operation.slice(1) + part
    const { $schema, definitions: named, ...rest } = generator.createSchema(name)
    Object.assign(definitions, named)
    return rest
  }
  const request = schema('Request').properties
  const parameters = (place, { properties = {}, required = [] }) =>
    Object.entries(properties).map(([name, schema]) => {
      return { in: place, name, required: required.includes(name), schema }
    })
  const content = (schema) => ({ content: { 'application/json': { schema } } })
  const method = first(index.split(` ${operation} = `)[1] ?? '', /method: "(\w+)"/)
  const path = (paths[first(types, /path: `([^`]+)`/)] ??= {})
  path[method] = {
    operationId: operation,
    parameters: [
      ...parameters('header', request.headers),
      ...parameters('query', request.query),
      ...parameters('path', request.params),
    ],
    requestBody: content(request.body),
    responses: { 200: content(schema('Response')) },
  }
}
const info = {
  title: `the types of @botpress/client ${read('package.json').version}`,
  version: first(index, /apiVersion = '([^']+)'/),
}
console.log(JSON.stringify({ openapi: '3.1.0', info, paths, definitions }, null, 2))
