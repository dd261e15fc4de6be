#include "api/api.h"

/* Literal paths stand before those with a {…}, frequent ones first. */
const struct route api_routes[] = {
    {"POST", "/api/worker/heartbeat", api_heartbeat, LOG_DEBUG},
    {"POST", "/api/worker/register", api_register, LOG_INFO},
    {"GET", "/api/worker/tasks", api_tasks, LOG_DEBUG},
    {"POST", "/api/worker/task-complete", api_task_complete, LOG_INFO},
    {"GET", "/health", api_health, LOG_DEBUG},
    {"GET", "/livez", api_livez, LOG_DEBUG},
    {"GET", "/readyz", api_readyz, LOG_DEBUG},
    {"GET", "/api/admin/workers", api_workers, LOG_DEBUG},
    {"GET", "/api/admin/stats", api_stats, LOG_DEBUG},
    {"GET", "/api/admin/health", api_fleet_health, LOG_DEBUG},
    {"GET", "/", api_root, LOG_DEBUG},
    {"GET", "/api", api_root, LOG_DEBUG},
    {"GET", "/openapi.json", api_openapi, LOG_DEBUG},
    {"GET", "/docs", api_docs, LOG_DEBUG},
    {"DELETE", "/api/worker/unregister/{worker_id}", api_unregister, LOG_INFO},
    {"POST", "/api/worker/{worker_id}/drain", api_drain, LOG_INFO},
    {"POST", "/api/worker/{worker_id}/undrain", api_undrain, LOG_INFO},
    {"GET", "/api/worker/{worker_id}", api_worker, LOG_DEBUG},
    {NULL, NULL, NULL, LOG_DEBUG},
};
