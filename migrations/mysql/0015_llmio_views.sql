-- Read-only views for those who read LLMIO's tables. `provider_validations` is what is known of each provider: of several cores' rows the
-- one that was checked last. `provider_usage_stats` is provider_stats by day and provider. Times are microseconds since 1970 (UTC), as
-- everywhere; `date` is a calendar date, UTC.

CREATE OR REPLACE VIEW provider_validations AS
SELECT p.id AS provider_id,
       p.name AS provider_name,
       CASE WHEN h.status = 'unhealthy' THEN 0 ELSE 1 END AS is_healthy,
       h.status AS status,
       h.error_count AS error_count,
       h.error_message AS last_error,
       h.last_status_code AS last_status_code,
       h.last_checked AS last_validated_at,
       h.last_success AS last_success_at,
       CASE WHEN h.status = 'unhealthy' THEN h.last_checked + c.retry_after_hours * 3600000000 END AS next_retry_at,
       h.consecutive_successes AS consecutive_successes,
       h.updated_at AS updated_at
FROM provider_health h
JOIN providers p ON p.id = h.provider_id
LEFT JOIN health_check_configs c ON c.id = 1
WHERE NOT EXISTS (
    SELECT 1 FROM provider_health newer
    WHERE newer.provider_id = h.provider_id
      AND (COALESCE(newer.last_checked, 0) > COALESCE(h.last_checked, 0)
           OR (COALESCE(newer.last_checked, 0) = COALESCE(h.last_checked, 0) AND newer.core_id > h.core_id))
);

CREATE OR REPLACE VIEW provider_usage_stats AS
SELECT s.provider_id AS provider_id,
       MAX(s.provider) AS provider_name,
       DATE_ADD(DATE '1970-01-01', INTERVAL s.day DIV 86400000000 DAY) AS date,
       CAST(SUM(s.attempts) AS SIGNED) AS total_requests,
       CAST(SUM(s.successes) AS SIGNED) AS success_requests,
       CAST(SUM(s.attempts - s.successes) AS SIGNED) AS failed_requests,
       CAST(SUM(s.prompt_tokens) AS SIGNED) AS prompt_tokens,
       CAST(SUM(s.completion_tokens) AS SIGNED) AS completion_tokens,
       CAST(SUM(s.prompt_tokens + s.completion_tokens) AS SIGNED) AS total_tokens,
       CAST(SUM(s.cost_nanos) AS SIGNED) AS cost_nanos,
       CAST(SUM(s.latency_us) / 1000 / NULLIF(SUM(s.attempts), 0) AS DOUBLE) AS avg_response_time_ms,
       MAX(s.last_used_at) AS last_used_at
FROM provider_stats s
GROUP BY s.provider_id, s.day;
