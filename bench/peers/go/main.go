// The list as Go has it, with net/http and pgx: the key and the page, a statement each.
// It prints the items that the database keeps as JSON, as the service does.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

const scope = "conversations:read"

const keyQuery = `
SELECT organization_id::text, scopes
FROM api_keys
WHERE key_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())`

// One row more than the page has tells whether a page follows.
const pageQuery = `
SELECT
    list_item::text,
    (extract(epoch FROM last_message_at) * 1000000)::bigint,
    uuid_send(id),
    (
        SELECT sum(opted_in_count + other_count)::bigint FROM conversation_counts
        WHERE organization_id = $1 AND counted_id = '00000000-0000-0000-0000-000000000000'
    )
FROM conversations
WHERE organization_id = $1 AND message_count > 0 %s
ORDER BY last_message_at DESC, id DESC
LIMIT $2`

const afterCursor = "AND (last_message_at, id) < ($3::timestamptz, $4::uuid)"

var pool *pgxpool.Pool

type meta struct {
	Total      int64   `json:"total"`
	Limit      int     `json:"limit"`
	Offset     int     `json:"offset"`
	NextCursor *string `json:"next_cursor"`
}

type page struct {
	Success bool              `json:"success"`
	Data    []json.RawMessage `json:"data"`
	Meta    meta              `json:"meta"`
}

func main() {
	config, err := pgxpool.ParseConfig("")
	if err != nil {
		log.Fatal(err)
	}
	config.MinConns, config.MaxConns = 8, 8
	if pool, err = pgxpool.ConnectConfig(context.Background(), config); err != nil {
		log.Fatal(err)
	}
	log.SetOutput(os.Stdout)
	http.HandleFunc("/conversations", withLog(listConversations))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

// withLog sends a request id along and writes one log line.
func withLog(handle func(http.ResponseWriter, *http.Request) int) http.HandlerFunc {
	return func(response http.ResponseWriter, request *http.Request) {
		started, id := time.Now(), newRequestID()
		response.Header().Set("X-Request-Id", id)
		status := handle(response, request)
		milliseconds := float64(time.Since(started).Microseconds()) / 1000
		log.Printf("request_id=%s method=%s path=%s status=%d ms=%.2f",
			id, request.Method, request.URL.Path, status, milliseconds)
	}
}

func listConversations(response http.ResponseWriter, request *http.Request) int {
	organizationID, status := authenticate(request)
	if status != 0 {
		return refuse(response, status)
	}
	limit := 50
	if given := request.URL.Query().Get("limit"); given != "" {
		var err error
		if limit, err = strconv.Atoi(given); err != nil || limit < 1 || limit > 200 {
			return refuse(response, http.StatusUnprocessableEntity)
		}
	}
	query, values := fmt.Sprintf(pageQuery, ""), []interface{}{organizationID, limit + 1}
	if cursor := request.URL.Query().Get("cursor"); cursor != "" {
		raw, err := base64.URLEncoding.DecodeString(cursor)
		if err != nil || len(raw) != 24 {
			return refuse(response, http.StatusUnprocessableEntity)
		}
		at := time.UnixMicro(int64(binary.BigEndian.Uint64(raw)))
		query = fmt.Sprintf(pageQuery, afterCursor)
		values = append(values, at, fmt.Sprintf("%x", raw[8:]))
	}
	found, err := fetchPage(request.Context(), limit, query, values)
	if err != nil {
		return refuse(response, http.StatusServiceUnavailable)
	}
	body, err := json.Marshal(found)
	if err != nil {
		return refuse(response, http.StatusInternalServerError)
	}
	response.Header().Set("Content-Type", "application/json")
	response.Header().Set("Content-Length", strconv.Itoa(len(body)))
	response.Write(body)
	return http.StatusOK
}

// authenticate returns the organization of the request's key, or the status of the refusal.
func authenticate(request *http.Request) (string, int) {
	hash := sha256.Sum256([]byte(strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer ")))
	var organizationID string
	var scopes []string
	err := pool.QueryRow(request.Context(), keyQuery, hash[:]).Scan(&organizationID, &scopes)
	if err == pgx.ErrNoRows {
		return "", http.StatusUnauthorized
	} else if err != nil {
		return "", http.StatusServiceUnavailable
	}
	for _, each := range scopes {
		if each == scope {
			return organizationID, 0
		}
	}
	return "", http.StatusForbidden
}

func fetchPage(ctx context.Context, limit int, query string, values []interface{}) (*page, error) {
	rows, err := pool.Query(ctx, query, values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := page{Success: true, Data: []json.RawMessage{}, Meta: meta{Limit: limit}}
	var microseconds int64
	var id []byte
	for rows.Next() {
		if len(found.Data) == limit {
			raw := make([]byte, 8, 24)
			binary.BigEndian.PutUint64(raw, uint64(microseconds))
			cursor := base64.URLEncoding.EncodeToString(append(raw, id...))
			found.Meta.NextCursor = &cursor
			continue
		}
		var item string
		if err := rows.Scan(&item, &microseconds, &id, &found.Meta.Total); err != nil {
			return nil, err
		}
		found.Data = append(found.Data, json.RawMessage(item))
	}
	return &found, rows.Err()
}

func refuse(response http.ResponseWriter, status int) int {
	response.Header().Set("Content-Type", "application/json")
	response.WriteHeader(status)
	fmt.Fprintf(response, `{"success":false,"error":{"code":"%d"}}`, status)
	return status
}

// newRequestID returns a ULID: 48 bits of milliseconds and 80 of chance, in base 32.
func newRequestID() string {
	const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	raw := make([]byte, 16)
	binary.BigEndian.PutUint64(raw, uint64(time.Now().UnixMilli())<<16)
	rand.Read(raw[6:])
	high, low := binary.BigEndian.Uint64(raw), binary.BigEndian.Uint64(raw[8:])
	id := make([]byte, 26)
	for i := 25; i >= 0; i-- {
		id[i] = digits[low&31]
		low, high = low>>5|high<<59, high>>5
	}
	return string(id)
}
