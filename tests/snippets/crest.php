<?php
// A small stand-in for CRest (https://github.com/bitrix-tools/crest): the same call, sent as CRest sends it, without its
// settings file and its renewal of tokens.
class CRest
{
    public static function call($method, $params = [])
    {
        $context = stream_context_create([
            'http' => [
                'method' => 'POST',
                'header' => "Content-Type: application/x-www-form-urlencoded\r\n"
                    . "User-Agent: Bitrix24 CRest PHP 1.36\r\nConnection: close\r\n",
                'content' => http_build_query($params),
                'ignore_errors' => true,
            ],
            'ssl' => ['cafile' => getenv('SSL_CERT_FILE')],
        ]);
        $answer = file_get_contents(getenv('B24_WEBHOOK') . $method . '.json', false, $context);
        return json_decode($answer, true);
    }
}
