<?php
// What PHP makes of a request, a line for each reader, in a notation that tells types and bytes apart.

function shown($value): string
{
    if (is_array($value)) {
        $entries = [];
        foreach ($value as $key => $entry) {
            $entries[] = shown($key) . ':' . shown($entry);
        }
        return '{' . implode(',', $entries) . '}';
    }
    return match (true) {
        $value === null => 'null',
        is_bool($value) => $value ? 'true' : 'false',
        is_int($value) => "i$value",
        is_float($value) => 'f' . bin2hex(pack('E', $value)),
        default => 's' . bin2hex($value),
    };
}

function as_int_parameter(int $value): int
{
    return $value;
}

$raw = file_get_contents('php://input');
$json = json_decode($raw, true);
parse_str(trim($raw), $form);
$url = parse_url($raw);
try {
    $parameter = as_int_parameter($raw);
} catch (TypeError) {
    $parameter = null;
}

$readings = [
    'query' => $_GET,
    'fields' => $_POST,
    'files' => array_keys($_FILES),
    'rest' => $raw,
    'json' => json_last_error() === JSON_ERROR_NONE ? [$json] : [],
    'json as int' => is_array($json) ? array_map(fn ($entry) => (int) $entry, $json) : [],
    'form' => $form,
    'url' => [$url['path'] ?? '', $url['query'] ?? ''],
    'int' => (int) $raw,
    'bool' => (bool) $raw,
    'numeric' => is_numeric($raw),
    'int parameter' => $parameter,
];
foreach ($readings as $reader => $value) {
    echo $reader, "\t", shown($value), "\n";
}
