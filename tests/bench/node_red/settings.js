// No editor, no admin API, nothing that listens: the flow alone, in memory.
module.exports = {
  flowFile: process.env.BENCH_FLOW,
  httpAdminRoot: false,
  httpNodeRoot: false,
  disableEditor: true,
  credentialSecret: false,
  externalModules: { autoInstall: false, palette: { allowInstall: false } },
  telemetry: { enabled: false, updateNotification: false },
  diagnostics: { enabled: false },
  runtimeState: { enabled: false },
  contextStorage: { default: { module: "memory" } },
  logging: { console: { level: "info", metrics: false, audit: false } },
};
