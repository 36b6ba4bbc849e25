function show(description) {
  // The page calls the service that it comes from, under whatever prefix of a proxy.
  const server = { url: new URL(".", location.href).href };
  // An example would be filled in, and a call that was only tried would filter by all of them.
  const operations = Object.values(description.paths).flatMap((path) => Object.values(path));
  for (const parameter of operations.flatMap((operation) => operation.parameters ?? [])) {
    if (!parameter.required) delete parameter.example;
  }
  SwaggerUIBundle({
    spec: { ...description, servers: [server] },
    dom_id: "#reference",
    deepLinking: true,
    validatorUrl: null,
    defaultModelsExpandDepth: -1,
    tryItOutEnabled: true,
  });
}

fetch("openapi.json").then((response) => response.json()).then(show);
