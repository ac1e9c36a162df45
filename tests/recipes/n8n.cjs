// Stands for n8n: runs a trigger node's file as n8n does. Speaks with the test over HTTP:
// POST /activate, /deactivate and /exists call the node's methods; POST /webhook is the node's own webhook.
const { createServer } = require("node:http");
const { CalliyoTrigger } = require("./CalliyoTrigger.node.js");

const port = Number(process.env.PORT);
const parameters = { address: process.env.CALLIYO, events: process.env.EVENTS.split(",") };
const staticData = {};
const runs = [];
const node = new CalliyoTrigger();

function common() {
  return {
    getNodeParameter: (name) => parameters[name],
    getCredentials: async () => ({ name: "Authorization", value: `Bearer ${process.env.TOKEN}` }),
    getWorkflowStaticData: () => staticData,
    getNodeWebhookUrl: () => `http://127.0.0.1:${port}/webhook`,
    helpers: {
      returnJsonArray: (data) => [data].flat().map((json) => ({ json })),
      async httpRequest({ method, url, body, headers, json }) {
        const sent = body === undefined ? {} : { body: JSON.stringify(body) };
        const answer = await fetch(url, { method, headers: { ...headers, ...(json && { "content-type": "application/json" }) }, ...sent });
        const text = await answer.text();
        return { statusCode: answer.status, body: text && JSON.parse(text), headers: Object.fromEntries(answer.headers) };
      },
    },
  };
}

async function webhook(request, response, raw) {
  request.readRawBody = async () => { request.rawBody = raw; };
  const express = {
    status(code) { response.statusCode = code; return this; },
    send(text) { response.write(text); return this; },
    end() { response.end(); },
  };
  const context = { ...common(), getRequestObject: () => request, getResponseObject: () => express, getBodyData: () => JSON.parse(raw) };
  const told = await node.webhook.call(context);
  if (told.noWebhookResponse) return;
  runs.push(...told.workflowData.flat().map((item) => item.json));
  response.end("{\"message\":\"Workflow was started\"}");
}

async function answer(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const raw = Buffer.concat(chunks);
  if (request.url === "/webhook") return webhook(request, response, raw);
  const methods = node.webhookMethods.default;
  const does = { "/activate": methods.create, "/deactivate": methods.delete, "/exists": methods.checkExists }[request.url];
  if (raw.length) Object.assign(parameters, JSON.parse(raw));
  try {
    const result = does ? await does.call(common()) : { runs, staticData, description: node.description };
    response.end(JSON.stringify(result));
  } catch (error) {
    response.statusCode = 500;
    response.end(JSON.stringify(error.message));
  }
}

createServer(answer).listen(port, "127.0.0.1");
