#include "api/api.h"

/* Frequent routes come first. http/route.h says what a row means. */
#define ROUTES(X)                                                                                                                  \
    X("POST", "/api/worker/heartbeat", api_heartbeat, .access = ACCESS_WORKER | ACCESS_FIELD, .effect = WRITES)                    \
    X("POST", "/api/worker/heartbeats", api_heartbeats, .access = ACCESS_WORKER, .effect = WRITES,                                 \
      .body_max = SERVER_BULK_BODY_MAX)                                                                                            \
    X("POST", "/api/worker/register", api_register, .access = ACCESS_WORKER | ACCESS_FIELD, .effect = WRITES,                      \
      .log_level = LOG_INFO)                                                                                                       \
    X("GET", "/api/worker/tasks", api_tasks, .access = ACCESS_WORKER | ACCESS_FIELD, .effect = WRITES)                             \
    X("POST", "/api/worker/task-complete", api_task_complete, .access = ACCESS_WORKER | ACCESS_FIELD, .effect = WRITES,            \
      .body_max = SERVER_BULK_BODY_MAX)                                                                                            \
    X("POST", "/api/worker/tasks/complete", api_tasks_complete, .access = ACCESS_WORKER, .effect = WRITES,                         \
      .body_max = SERVER_BULK_BODY_MAX)                                                                                            \
    X("POST", "/api/worker/tasks/fail", api_tasks_fail, .access = ACCESS_WORKER, .effect = WRITES,                                 \
      .body_max = SERVER_BULK_BODY_MAX)                                                                                            \
    X("POST", "/api/worker/task-fail", api_task_fail, .access = ACCESS_WORKER, .effect = WRITES)                                   \
    X("POST", "/api/worker/task-extend", api_task_extend, .access = ACCESS_WORKER, .effect = WRITES)                               \
    X("POST", "/api/tasks/{task_id}/progress", api_task_progress, .access = ACCESS_WORKER, .effect = WRITES)                       \
    X("POST", "/api/tasks", api_submit, .access = ACCESS_USER, .effect = WRITES, .body_max = SERVER_TASK_BODY_MAX)                 \
    X("POST", "/api/tasks/bulk", api_submit_bulk, .access = ACCESS_USER, .effect = WRITES, .body_max = SERVER_BULK_BODY_MAX)       \
    X("GET", "/api/tasks", api_task_list, .access = ACCESS_VIEWER)                                                                 \
    X("POST", "/api/tasks/retry", api_tasks_retry, .access = ACCESS_OPERATOR, .effect = WRITES, .log_level = LOG_INFO)             \
    X("GET", "/api/tasks/{task_id}", api_task, .access = ACCESS_VIEWER)                                                            \
    X("DELETE", "/api/tasks/{task_id}", api_task_cancel, .access = ACCESS_USER, .effect = WRITES, .log_level = LOG_INFO)           \
    X("POST", "/api/tasks/{task_id}/retry", api_task_retry, .access = ACCESS_OPERATOR, .effect = WRITES, .log_level = LOG_INFO)    \
    X("GET", "/api/tasks/{task_id}/explain", api_task_explain, .access = ACCESS_VIEWER)                                            \
    X("GET", "/api/queues", api_queues, .access = ACCESS_VIEWER)                                                                   \
    X("GET", "/api/queues/{queue}", api_queue, .access = ACCESS_VIEWER)                                                            \
    X("PUT", "/api/queues/{queue}", api_queue_limit, .access = ACCESS_OPERATOR, .effect = WRITES, .log_level = LOG_INFO)           \
    X("POST", "/api/queues/{queue}/pause", api_queue_pause, .access = ACCESS_OPERATOR, .effect = WRITES, .log_level = LOG_INFO)    \
    X("POST", "/api/queues/{queue}/resume", api_queue_resume, .access = ACCESS_OPERATOR, .effect = WRITES, .log_level = LOG_INFO)  \
    X("DELETE", "/api/queues/{queue}/tasks", api_queue_purge, .access = ACCESS_OPERATOR, .effect = WRITES, .log_level = LOG_INFO)  \
    X("POST", "/api/coordinator/broadcast-job", api_broadcast, .access = ACCESS_OPERATOR | ACCESS_FIELD, .effect = WRITES,         \
      .log_level = LOG_INFO, .body_max = SERVER_TASK_BODY_MAX)                                                                     \
    X("GET", "/health", api_health, .access = ACCESS_ANYONE | ACCESS_FIELD, .patience = QUICK)                                     \
    X("GET", "/livez", api_livez, .access = ACCESS_ANYONE)                                                                         \
    X("GET", "/readyz", api_readyz, .access = ACCESS_ANYONE, .patience = QUICK)                                                    \
    X("GET", API_METRICS_PATH, api_metrics, .access = ACCESS_VIEWER, .patience = QUICK, .exact = true)                             \
    X("GET", "/api/admin/workers", api_workers, .access = ACCESS_VIEWER | ACCESS_FIELD)                                            \
    X("GET", "/api/admin/coordinators", api_coordinators, .access = ACCESS_VIEWER | ACCESS_FIELD)                                  \
    X("GET", "/api/admin/services", api_services, .access = ACCESS_VIEWER | ACCESS_FIELD)                                          \
    X("GET", "/api/admin/gaps", api_gaps, .access = ACCESS_VIEWER | ACCESS_FIELD)                                                  \
    X("GET", "/api/coordinator/workers", api_live_workers, .access = ACCESS_VIEWER | ACCESS_FIELD)                                 \
    X("GET", "/api/services/list", api_services_list, .access = ACCESS_VIEWER | ACCESS_WORKER | ACCESS_FIELD)                      \
    X("POST", "/api/edge/register", api_edge_register, .access = ACCESS_WORKER | ACCESS_FIELD, .effect = WRITES,                   \
      .log_level = LOG_INFO)                                                                                                       \
    X("POST", "/api/edge/heartbeat", api_edge_heartbeat, .access = ACCESS_WORKER | ACCESS_FIELD, .effect = WRITES)                 \
    X("GET", "/api/dht/bootstrap", api_dht_bootstrap, .access = ACCESS_WORKER | ACCESS_VIEWER | ACCESS_FIELD)                      \
    X("GET", "/api/dht/stats", api_dht_stats, .access = ACCESS_VIEWER | ACCESS_FIELD)                                              \
    X("GET", "/api/dht/topology", api_dht_topology, .access = ACCESS_VIEWER | ACCESS_FIELD)                                        \
    X("GET", "/api/admin/stats", api_stats, .access = ACCESS_VIEWER | ACCESS_FIELD)                                                \
    X("GET", "/api/admin/health", api_fleet_health, .access = ACCESS_VIEWER | ACCESS_FIELD)                                        \
    X("GET", "/api/admin/history", api_history, .access = ACCESS_VIEWER)                                                           \
    X("GET", "/api/events", api_events, .access = ACCESS_VIEWER)                                                                   \
    X("GET", "/", api_front, .access = ACCESS_ANYONE)                                                                              \
    X("GET", "/api", api_root, .access = ACCESS_ANYONE)                                                                            \
    X("GET", "/openapi.json", api_openapi, .access = ACCESS_ANYONE)                                                                \
    X("GET", "/docs", api_docs, .access = ACCESS_ANYONE)                                                                           \
    X("GET", "/dashboard", api_dashboard, .access = ACCESS_ANYONE)                                                                 \
    X("DELETE", "/api/worker/unregister/{worker_id}", api_unregister, .access = ACCESS_OPERATOR | ACCESS_WORKER | ACCESS_FIELD,    \
      .effect = WRITES, .log_level = LOG_INFO)                                                                                     \
    X("GET", "/api/worker/find/{service}", api_find, .access = ACCESS_VIEWER | ACCESS_WORKER | ACCESS_FIELD)                       \
    X("GET", "/api/services/discover/{service}", api_discover, .access = ACCESS_VIEWER | ACCESS_WORKER | ACCESS_FIELD)             \
    X("POST", "/api/worker/{worker_id}/drain", api_drain, .access = ACCESS_OPERATOR, .effect = WRITES, .log_level = LOG_INFO)      \
    X("POST", "/api/worker/{worker_id}/undrain", api_undrain, .access = ACCESS_OPERATOR, .effect = WRITES, .log_level = LOG_INFO)  \
    X("POST", "/api/auth/login", api_login, .access = ACCESS_ANYONE | ACCESS_FIELD, .log_level = LOG_INFO)                         \
    X("POST", "/api/auth/logout", api_logout, .access = ACCESS_ANYONE, .log_level = LOG_INFO)                                      \
    X("GET", "/api/auth/verify", api_verify, .access = ACCESS_ANYONE | ACCESS_FIELD)                                               \
    X("POST", "/api/auth/verify", api_verify_body, .access = ACCESS_ANYONE | ACCESS_FIELD)                                         \
    X("GET", "/.well-known/jwks.json", api_jwks, .access = ACCESS_ANYONE)                                                          \
    X("GET", "/api/auth/users", api_users, .access = ACCESS_ADMIN)                                                                 \
    X("POST", "/api/auth/users", api_user_add, .access = ACCESS_ADMIN, .log_level = LOG_INFO)                                      \
    X("PATCH", "/api/auth/users/{name}", api_user_change, .access = ACCESS_ADMIN, .log_level = LOG_INFO)                           \
    X("DELETE", "/api/auth/users/{name}", api_user_remove, .access = ACCESS_ADMIN, .log_level = LOG_INFO)                          \
    X("GET", "/api/auth/tokens", api_tokens, .access = ACCESS_ADMIN)                                                               \
    X("POST", "/api/auth/tokens", api_token_add, .access = ACCESS_ADMIN, .log_level = LOG_INFO)                                    \
    X("DELETE", "/api/auth/tokens/{id}", api_token_revoke, .access = ACCESS_ADMIN, .log_level = LOG_INFO)                          \
    X("GET", "/api/auth/keys", api_key_list, .access = ACCESS_ADMIN)                                                               \
    X("POST", "/api/auth/keys/rotate", api_key_rotate, .access = ACCESS_ADMIN, .log_level = LOG_INFO)                              \
    X("GET", "/api/admin/audit", api_audit, .access = ACCESS_OPERATOR)                                                             \
    X("GET", "/api/route/explain", api_route_explain, .access = ACCESS_VIEWER)                                                     \
    X("GET", "/api/route/requests", api_route_requests, .access = ACCESS_VIEWER)                                                   \
    X("GET", "/api/worker/{worker_id}", api_worker, .access = ACCESS_VIEWER)                                                       \
    X("POST", "/api/inference/llm", api_inference_llm, .access = ACCESS_USER | ACCESS_FIELD, .body_max = SERVER_MODEL_BODY_MAX)    \
    X("POST", "/api/inference/vision", api_inference_vision, .access = ACCESS_USER | ACCESS_FIELD,                                 \
      .body_max = SERVER_MODEL_BODY_MAX)                                                                                           \
    X("POST", "/api/inference/rag/query", api_inference_rag, .access = ACCESS_USER | ACCESS_FIELD)                                 \
    X("POST", "/api/inference/graph/extract", api_inference_graph, .access = ACCESS_USER | ACCESS_FIELD)                           \
    X("GET", "/v1/models", api_models, .access = ACCESS_USER)                                                                      \
    X("GET", "/v1/models/{model...}", api_model, .access = ACCESS_USER)                                                            \
    X("POST", "/v1/chat/completions", api_model_request, .access = ACCESS_USER, .body_max = SERVER_MODEL_BODY_MAX)                 \
    X("POST", "/v1/completions", api_model_request, .access = ACCESS_USER, .body_max = SERVER_MODEL_BODY_MAX)                      \
    X("POST", "/v1/embeddings", api_model_request, .access = ACCESS_USER, .body_max = SERVER_MODEL_BODY_MAX)                       \
    X("POST", "/v1/responses", api_model_request, .access = ACCESS_USER, .body_max = SERVER_MODEL_BODY_MAX)                        \
    X("ANY", "/service/{service}", api_service, .access = ACCESS_USER | ACCESS_FIELD, .body = STREAMED)                            \
    X("ANY", "/service/{service}/{path...}", api_service, .access = ACCESS_USER | ACCESS_FIELD, .body = STREAMED)                  \
    X("ANY", "/api/service/{service}", api_service, .access = ACCESS_USER | ACCESS_FIELD, .body = STREAMED)                        \
    X("ANY", "/api/service/{service}/{path...}", api_service, .access = ACCESS_USER | ACCESS_FIELD, .body = STREAMED)

#define X(method, path, handler, ...) request_handler handler;
ROUTES(X)
#undef X

static const struct route rows[] = {
#define X(method, path, handler, ...) {method, path, handler, __VA_ARGS__},
    ROUTES(X)
#undef X
        {.path = NULL},
};

const struct route *api_routes = rows;
